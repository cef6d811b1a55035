"""Asks a database one question with the address in ADDRESS, by the client that the argument names.

Prints the client's version and the answer, joined by a tab.
"""

import asyncio
import importlib.metadata
import os
import sys

QUESTION = "select ssl || ' ' || 6 * 7 from pg_stat_ssl where pid = pg_backend_pid()"
ADDRESS = os.environ.get("ADDRESS", "")


def psycopg() -> str:
    import psycopg

    with psycopg.connect(ADDRESS, connect_timeout=10) as connection:
        return connection.execute(QUESTION).fetchone()[0]


async def asyncpg() -> str:
    import asyncpg

    connection = await asyncpg.connect(ADDRESS, timeout=10)
    try:
        return await connection.fetchval(QUESTION)
    finally:
        await connection.close()


async def sqlalchemy() -> str:
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(ADDRESS)
    try:
        async with engine.connect() as connection:
            return (await connection.execute(text(QUESTION))).scalar_one()
    finally:
        await engine.dispose()


name = sys.argv[1]
client = {"psycopg": psycopg, "asyncpg": asyncpg, "sqlalchemy": sqlalchemy}[name]
answer = client()
if asyncio.iscoroutine(answer):
    answer = asyncio.run(answer)
print(f"{importlib.metadata.version(name)}\t{answer}")
