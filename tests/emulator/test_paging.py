"""Pages of lists."""

from typing import Any

import pytest


async def fill(api: Any, number: int) -> tuple[str, list[Any]]:
    """Create so many participants and return the path of their list."""
    made = [await api.create(Label=f"p{index}", Muted="true") for index in range(number)]
    return f"/Conferences/{made[0].json['conference_sid']}/Participants.json", made


def labels(answer: Any) -> list[str]:
    """Return the labels on a page."""
    return [participant["label"] for participant in answer.json["participants"]]


async def test_links_lead_through_the_list_and_back(api: Any) -> None:
    """Forward and back, with positions, and filters carried in every link."""
    path, _made = await fill(api, 5)
    first = await api.get(path, Muted="true", PageSize="2")
    second = await api.get(first.json["next_page_uri"])
    third = await api.get(second.json["next_page_uri"])
    back = await api.get(third.json["previous_page_uri"])

    assert [labels(page) for page in (first, second, third, back)] == [
        ["p0", "p1"],
        ["p2", "p3"],
        ["p4"],
        ["p2", "p3"],
    ]
    assert (first.json["previous_page_uri"], third.json["next_page_uri"]) == (None, None)
    assert [
        [page.json[name] for name in ("page", "page_size", "start", "end")]
        for page in (first, second, third, back)
    ] == [[0, 2, 0, 1], [1, 2, 2, 3], [2, 2, 4, 4], [1, 2, 2, 3]]
    assert labels(await api.get(third.json["first_page_uri"])) == ["p0", "p1"]
    assert labels(await api.get(third.json["uri"])) == ["p4"]
    assert first.json["uri"] == f"{api.root}{path}?Muted=true&PageSize=2&Page=0"
    assert "Muted=true&PageSize=2&Page=1&PageToken=PACA" in first.json["next_page_uri"]


async def test_links_survive_people_who_come_and_go(api: Any) -> None:
    """Nobody comes twice and nobody who stays is missed, even if the token's own row is gone."""
    path, made = await fill(api, 6)
    first = await api.get(path, PageSize="3")
    await api.delete(api.at(made[0]))
    await api.delete(api.at(made[2]))
    await api.create(Label="late")
    second = await api.get(first.json["next_page_uri"])
    await api.delete(api.at(made[3]))
    third = await api.get(second.json["next_page_uri"])
    back = await api.get(third.json["previous_page_uri"])

    assert (labels(first), labels(second), labels(third)) == (
        ["p0", "p1", "p2"],
        ["p3", "p4", "p5"],
        ["late"],
    )
    assert labels(back) == ["p1", "p4", "p5"]


async def test_an_empty_page_has_no_links_beyond_itself(api: Any) -> None:
    """Start and end are 0, and there is neither a next nor a previous page."""
    path, made = await fill(api, 3)
    first = await api.get(path, PageSize="2")
    await api.delete(api.at(made[2]))
    empty = (await api.get(first.json["next_page_uri"])).json

    assert (empty["participants"], empty["start"], empty["end"], empty["page"]) == ([], 0, 0, 1)
    assert (empty["next_page_uri"], empty["previous_page_uri"]) == (None, None)


async def test_a_page_has_50_rows_unless_told(api: Any) -> None:
    """The default size is in the links."""
    path, _made = await fill(api, 51)
    first = await api.get(path)

    assert (len(labels(first)), first.json["page_size"]) == (50, 50)
    assert labels(await api.get(first.json["next_page_uri"])) == ["p50"]
    assert len(labels(await api.get(path, PageSize="1000"))) == 51


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"PageSize": "1001"}, 400, 20007),
        ({"PageSize": "0"}, 400, 20007),
        ({"PageSize": "-1"}, 400, 20007),
        ({"PageSize": "ten"}, 400, 20007),
        ({"Page": "-1"}, 422, 20422),
        ({"PageToken": "x"}, 400, 21481),
        ({"PageToken": ""}, 400, 21481),
        ({"PageToken": "PACA" + "0" * 32}, 400, 21481),
    ],
)
async def test_bad_paging_is_refused(api: Any, query: Any, status: int, code: int) -> None:
    """Sizes from 1 to 1000, numbers from 0, and tokens that we gave out."""
    path, _made = await fill(api, 1)
    answer = await api.get(path, **query)

    assert (answer.status, answer.code) == (status, code)


async def test_a_tampered_token_is_refused(api: Any) -> None:
    """Changing any part of a token makes it invalid."""
    path, _made = await fill(api, 3)
    link = (await api.get(path, PageSize="1")).json["next_page_uri"]
    flipped = link[:-1] + ("0" if link[-1] != "0" else "1")

    assert (await api.get(flipped)).code == 21481
