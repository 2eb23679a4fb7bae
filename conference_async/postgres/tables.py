"""The tables of one kind of store: how they are made, and whether a database has them.

Nothing makes them but `cluster set-up`, so that all others get along with the right to rows. Their
version is a comment on the first of them: programs of another one are refused. Which script made
them is a comment on the last: what programs can do without, such as an index, is made up for by the
next `cluster set-up`.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, LiteralString

import attrs

from conference_async.errors import ConfigurationError

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

FIRST: LiteralString = "conference_async 1"
"""The version of tables that have not changed since they were first made."""

_LOOK = """
SELECT name, to_regclass(name) IS NOT NULL AS there,
    obj_description(to_regclass(name), 'pg_class') AS comment,
    CASE (SELECT relkind FROM pg_class WHERE oid = to_regclass(name))
        WHEN 'S' THEN has_sequence_privilege(to_regclass(name), 'USAGE')
        ELSE has_table_privilege(to_regclass(name), 'SELECT')
            AND has_table_privilege(to_regclass(name), 'INSERT')
            AND has_table_privilege(to_regclass(name), 'UPDATE')
            AND has_table_privilege(to_regclass(name), 'DELETE') END AS writable,
    current_user AS who
FROM unnest(%s::text[]) WITH ORDINALITY AS table_name (name, place) ORDER BY place
"""
_REFUSE: LiteralString = """
DO $do$ BEGIN
    IF to_regclass('<table>') IS NOT NULL
        AND coalesce(obj_description(to_regclass('<table>'), 'pg_class'), '') NOT IN (<versions>)
    THEN
        RAISE EXCEPTION 'the table <table> is of another version than %: use the newer of the two',
            '<version>';
    END IF;
END $do$;
"""
_UPGRADE: LiteralString = """
DO $do$ BEGIN
    IF obj_description(to_regclass('<table>'), 'pg_class') = '<version>' THEN
<script>
    END IF;
END $do$;
"""
_GRANT: LiteralString = "GRANT SELECT, INSERT, UPDATE, DELETE ON <tables> TO <role>;\n"
_GRANT_SEQUENCES: LiteralString = "GRANT USAGE ON SEQUENCE <sequences> TO <role>;\n"


@attrs.frozen(kw_only=True)
class Tables:
    """The tables of one kind of store."""

    purpose: str
    """What they hold, as the beginning of a sentence."""

    names: tuple[LiteralString, ...]
    """All of them, two at the least."""

    script: LiteralString
    """Makes what is not there yet; harmless where it is."""

    version: LiteralString | None = FIRST
    """The version that the script makes; None for those of another program's."""

    upgrades: Mapping[LiteralString, LiteralString] = attrs.field(
        factory=dict[LiteralString, LiteralString]
    )
    """What is done to the rows of an older version before the script runs, by that version."""

    sequences: tuple[LiteralString, ...] = ()
    """The sequences that whoever writes rows uses."""

    @property
    def _made_by(self) -> str:
        return f"made by {sha256(self.script.encode()).hexdigest()[:16]}"

    def sql(self) -> str:
        """Return what makes them, or brings those of an older version up to date in place.

        It is refused for those of an unknown version.
        """
        first, version = self.names[0], self.version
        if version is None:
            return self.script
        known = ", ".join(f"'{each}'" for each in (version, *self.upgrades))
        return "".join(
            (
                _REFUSE.replace("<table>", first)
                .replace("<versions>", known)
                .replace("<version>", version),
                *(
                    _UPGRADE.replace("<table>", first)
                    .replace("<version>", old)
                    .replace("<script>", script)
                    for old, script in self.upgrades.items()
                ),
                self.script,
                f"COMMENT ON TABLE {first} IS '{version}';\n",
                f"COMMENT ON TABLE {self.names[-1]} IS '{self._made_by}';\n",
            )
        )

    def grants(self, role: str) -> str:
        """Return what lets a role read and write rows, and no more.

        Args:
            role: Its name, quoted.
        """
        grants = _GRANT.replace("<tables>", ", ".join(self.names))
        if self.sequences:
            grants += _GRANT_SEQUENCES.replace("<sequences>", ", ".join(self.sequences))
        return grants.replace("<role>", role)

    async def there(self, connection: "AsyncConnection[Any]") -> bool:
        """Return whether a database has all of them, as the script makes them."""
        rows = await self._look(connection)
        said = rows[0]["comment"], rows[len(self.names) - 1]["comment"]
        as_made = self.version is None or said == (self.version, self._made_by)
        return as_made and all(row["there"] for row in rows)

    async def check(self, connection: "AsyncConnection[Any]", *, write: bool = True) -> None:
        """Refuse a database that does not have them, or does not let us use them.

        Args:
            connection: The database.
            write: Whether rows are to be written.

        Raises:
            ConfigurationError: It does not.
        """
        rows = await self._look(connection)
        found = rows[0]["comment"]
        if self.version is not None and rows[0]["there"] and found != self.version:
            raise ConfigurationError(
                f"the table {rows[0]['name']} is of {found or 'an unknown version'}, and this is "
                f"{self.version}: conference-async cluster set-up of the newer of the two brings "
                "tables up to date and keeps what they hold; then use that version everywhere"
            )
        missing = [row["name"] for row in rows if not row["there"]]
        if missing:
            raise ConfigurationError(
                f"this database was not set up: it has no table {missing[0]}. Have somebody who "
                "may make tables run conference-async cluster set-up (or await "
                "ClusterDialer.set_up(dsn)) once"
            )
        barred = [row["name"] for row in rows if write and not row["writable"]]
        if barred:
            raise ConfigurationError(
                f"{self.purpose} cannot be used: the role {rows[0]['who']} may not write to "
                f"{barred[0]}; have conference-async cluster set-up --grant-to ROLE give it what "
                "it needs"
            )

    async def _look(self, connection: "AsyncConnection[Any]") -> "list[DictRow]":
        from psycopg.rows import dict_row

        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(_LOOK, ([*self.names, *self.sequences],))
            return await cursor.fetchall()
