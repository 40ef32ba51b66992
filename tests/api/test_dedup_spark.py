"""`cbi dedup run --engine spark`, as an operator types it: the same cases as without Spark."""

from tests.api.test_dedup_commands import cbi, data_dir, of, place
from tests.dedup.test_spark import LOCAL, cluster, pytestmark

# Fixtures and marks, which pytest finds by their names here.
__all__ = ["cbi", "cluster", "data_dir", "place", "pytestmark"]


async def test_a_run_on_spark_opens_what_a_run_here_would(cluster, cbi, place):
    with (cluster.folder / "spark-defaults.conf").open("a") as conf:
        conf.writelines(f"{name} {value}\n" for name, value in LOCAL.items())
    words = ("dedup", "run", "--engine", "spark", "--master", cluster.master, "--json")
    told = of(cbi(*words, code=0))
    assert told["engine"] == "spark"
    assert told["opened"] == len(await place.cases()) > 5
    same = ("households", "persons", "candidates", "pairs", "twice", "crowds", "broken_count")
    here = of(cbi("dedup", "run", "--json", code=0))
    assert {name: here[name] for name in same} == {name: told[name] for name in same}
    assert (here["opened"], here["reopened"], here["strengthened"]) == (0, 0, 0)
