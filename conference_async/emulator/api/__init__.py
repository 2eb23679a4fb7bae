"""The API's requests and replies: routes, parameters, resources, pages."""
