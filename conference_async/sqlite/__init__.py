"""SQLite files as this process uses them: off the loop, with locks that nothing here can lose."""
