import asyncio
import sqlite3
from contextlib import closing

import pytest

from mynah_tasks.executors import ExecutorKind, Executors
from mynah_tasks.task_types import BadPayload, NotConfigured
from mynah_tasks.task_types.database import Database, DatabaseFailed, Databases


@pytest.fixture
def lamps(tmp_path):
    path = tmp_path / "lamps of the house.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table lamp (name text primary key, watts real, icon blob)")
        connection.executemany("insert into lamp values (?, ?, ?)", [("desk", 5.5, b"\x00\x01"), ("hall", None, None)])
        connection.commit()
    return path


@pytest.fixture
def databases(lamps):
    return Databases({"lamps": Database(lamps), "editable": Database(lamps, writable=True)})


def ask(databases, sql, parameters=(), database="lamps", **options):
    return databases.process({"database": database, "sql": sql, "parameters": parameters, **options})


def names(lamps):
    with closing(sqlite3.connect(lamps)) as connection:
        return [name for (name,) in connection.execute("select name from lamp order by name")]


@pytest.mark.req("ENG-03")
def test_a_question_gives_rows_and_bytes_become_base64(databases):
    assert ask(databases, "select name, watts, icon from lamp order by name") == {
        "columns": ("name", "watts", "icon"),
        "rows": (("desk", 5.5, "AAE="), ("hall", None, None)),
        "truncated": False,
        "changed": 0,
    }


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [("select name from lamp where watts > ?", [1]), ("select name from lamp where watts > :least", {"least": 1})],
)
def test_parameters_never_become_part_of_the_statement(databases, sql, parameters):
    assert ask(databases, sql, parameters)["rows"] == (("desk",),)
    assert ask(databases, "select ?", ["'; drop table lamp; --"])["rows"] == (("'; drop table lamp; --",),)


def test_more_rows_than_wanted_are_cut_off_and_said_to_be(databases):
    result = ask(databases, "select name from lamp", max_rows=1)
    assert (len(result["rows"]), result["truncated"]) == (1, True)


ESCAPES = [
    "insert into lamp values ('new', 1, null)",
    "update lamp set watts = 0",
    "delete from lamp",
    "drop table lamp",
    "create table other (a)",
    "create temp table other (a)",
    "attach '{elsewhere}' as other",
    "vacuum into '{elsewhere}'",
    "pragma journal_mode = delete",
    "pragma writable_schema = on",
    "select load_extension('{elsewhere}')",
    "begin immediate",
]


@pytest.mark.parametrize("sql", ESCAPES)
def test_a_database_is_only_read_unless_it_is_writable(databases, lamps, tmp_path, sql):
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(BadPayload, match="refused"):
        ask(databases, sql.format(elsewhere=elsewhere))
    assert names(lamps) == ["desk", "hall"]
    assert not elsewhere.exists()


@pytest.mark.parametrize(
    "sql", ["attach '{elsewhere}' as other", "vacuum into '{elsewhere}'", "pragma user_version = 3"]
)
def test_writable_or_not_no_statement_opens_other_files_or_changes_settings(databases, tmp_path, sql):
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(BadPayload, match="refused"):
        ask(databases, sql.format(elsewhere=elsewhere), database="editable")
    assert not elsewhere.exists()


def test_a_writable_database_is_written_and_says_how_many_rows(databases, lamps):
    result = ask(databases, "insert into lamp (name) values (?), (?)", ["bed", "attic"], database="editable")
    assert result["changed"] == 2
    assert names(lamps) == ["attic", "bed", "desk", "hall"]


def test_a_statement_can_return_what_it_wrote(databases):
    result = ask(databases, "delete from lamp where name = 'hall' returning name", database="editable")
    assert result["rows"] == (("hall",),)


@pytest.mark.parametrize("name", ["kitchen", "../lamps", "/etc/passwd", "lamps of the house.db", ""])
def test_a_database_is_looked_up_by_name_and_never_by_path(databases, name):
    with pytest.raises(NotConfigured, match=r"there is no database .*; configured: lamps, editable"):
        ask(databases, "select 1", database=name)


@pytest.mark.parametrize(
    ("sql", "parameters", "said"),
    [
        ("selekt 1", (), "syntax error"),
        ("select * from nowhere", (), "no such table"),
        ("select 1; select 2", (), "one statement at a time"),
        ("select ?", (), "do not fit"),
        ("select :name", {}, "do not fit"),
    ],
)
def test_a_statement_that_cannot_work_is_not_tried_again(databases, sql, parameters, said):
    with pytest.raises(BadPayload, match=said) as caught:
        ask(databases, sql, parameters)
    assert not caught.value.retryable


def test_a_broken_constraint_is_the_statements_fault(databases):
    with pytest.raises(BadPayload, match="UNIQUE constraint failed"):
        ask(databases, "insert into lamp (name) values ('desk')", database="editable")


def test_a_statement_without_end_is_stopped(databases):
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
    with pytest.raises(DatabaseFailed, match=r"more than 0\.05 s"):
        ask(databases, endless, limit_seconds=0.05)


def test_a_value_without_measure_is_refused(databases):
    with pytest.raises(BadPayload, match="too big"):
        ask(databases, "select zeroblob(20000000)")


@pytest.mark.parametrize("content", [None, b"this is no database, though it is long enough to look like one" * 20])
def test_a_missing_or_damaged_file_is_a_failure_that_may_pass(tmp_path, content):
    path = tmp_path / "file.db"
    if content:
        path.write_bytes(content)
    with pytest.raises(DatabaseFailed, match="the database 'it' failed") as caught:
        ask(Databases({"it": Database(path)}), "select * from sqlite_master", database="it")
    assert caught.value.retryable
    assert path.exists() == bool(content)


@pytest.mark.req("CON-05")
async def test_eight_writers_at_once_lose_nothing(databases, lamps):
    async with Executors(threads=8) as executors:
        await asyncio.gather(
            *(
                executors.run(
                    ExecutorKind.THREAD,
                    databases.process,
                    {"database": "editable", "sql": "insert into lamp (name) values (?)", "parameters": [f"lamp {n}"]},
                    timeout=60,
                )
                for n in range(80)
            )
        )
    assert len(names(lamps)) == 82
