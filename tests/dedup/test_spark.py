"""Spark against one machine: a standalone cluster of a master and two workers, on loopback."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import msgspec
import numpy as np
import pytest

from dedup import model
from dedup.batch import choose, keys, levels, local
from dedup.batch.columns import Columns, encode
from dedup.compare import FIELDS
from dedup.model import Model
from dedup.record import Document, Record
from dedup.train import frequencies
from tests.dedup.people import World

pyspark = pytest.importorskip("pyspark", reason="the extra cbi[spark] is not installed")
spark = pytest.importorskip("dedup.batch.spark", reason="the extra cbi[spark] is not installed")
pytestmark = [
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java"),
    # PySpark leaves the socket through which it encrypts what it hands to Java to the collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
]

SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
ROOT = Path(__file__).parent.parent.parent
STARTS_SECONDS_MAX = 120
# These processes live for a minute: starting quickly is worth more than running fast.
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
LOCAL = {
    "spark.driver.extraJavaOptions": QUICK,
    "spark.executor.extraJavaOptions": QUICK,
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "640m",
    "spark.executor.memory": "512m",
    "spark.executorEnv.PYTHONPATH": str(ROOT),
    "spark.sql.shuffle.partitions": "2",
    # Small batches, so that families and blocks lie across their edges.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1500",
    # Unpacked, so that a word would be seen on the disk.
    "spark.shuffle.compress": "false",
    "spark.rdd.compress": "false",
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
}


CANARY = "Zzyzxqwv"


@dataclass(frozen=True)
class Cluster:
    master: str
    folder: Path


class Daemon:
    """One Java process of Spark, its log in a file; ended by its id."""

    def __init__(self, folder: Path, name: str, *command: str):
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(SPARK_CLASS, f"org.apache.spark.deploy.{command[0]}", *command[1:]),
                    *("--host", "127.0.0.1", "--port", "0", "--webui-port", "0"),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ
                | {
                    "SPARK_DAEMON_MEMORY": "256m",
                    "SPARK_DAEMON_JAVA_OPTS": QUICK,
                    "SPARK_LAUNCHER_OPTS": QUICK,
                },
            )

    def says(self, words: str) -> str:
        """Wait for a line of the log, and return what follows `words` in it."""
        for _ in range(STARTS_SECONDS_MAX * 10):
            for line in self.log.read_text(errors="replace").splitlines():
                if words in line:
                    return line.partition(words)[2]
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            break
        raise AssertionError(f"no {words!r} in: {self.log.read_text(errors='replace')}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("spark")
    conf = folder / "spark-defaults.conf"
    conf.touch(mode=0o600)
    conf.write_text(f"spark.authenticate true\nspark.authenticate.secret {secrets.token_hex()}\n")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        for name, value in (
            ("SPARK_CONF_DIR", str(folder)),
            ("SPARK_LOCAL_IP", "127.0.0.1"),
            ("SPARK_LOCAL_DIRS", str(folder / "local")),
            ("PYSPARK_PYTHON", sys.executable),
        ):
            patch.setenv(name, value)
        patch.delenv("SPARK_HOME", raising=False)

        def start(*command: str) -> Daemon:
            daemon = Daemon(folder, *command)
            stack.callback(daemon.stop)
            return daemon

        leader = start("master", "master.Master")
        master = leader.says("Starting Spark master at ")
        workers = [
            start(
                *(f"worker-{number}", "worker.Worker", master, "--cores", "1", "--memory", "1g"),
                *("--work-dir", str(folder / f"work-{number}")),
            )
            for number in (1, 2)
        ]
        for worker in workers:
            worker.says("Successfully registered with master ")
        yield Cluster(master, folder)


@dataclass(frozen=True)
class Both:
    """Populations matched by both drivers, and what Spark has on the disk meanwhile."""

    model: Model
    columns: Columns
    local: local.Matched
    found: "spark.Found"
    pairs: dict[str, np.ndarray]
    few: local.Matched
    few_local: local.Matched
    disk: bytes


@pytest.fixture(scope="module")
def both(cluster: Cluster) -> Both:
    records = population()
    columns = encode(records)
    content = model.load().content
    weights = model.build(msgspec.structs.replace(content, frequencies=frequencies(columns)))
    with spark.session(cluster.master, LOCAL) as session:
        found = spark.match(session.createDataFrame(spark.packed(records)), weights)
        pairs = found.pairs.orderBy("twice", "a", "b").toArrow()
        few = World(seed=22, persons=400).records
        matched = spark.match_records(session, iter(few), weights)
        disk = b"".join(file.read_bytes() for file in cluster.folder.rglob("*") if file.is_file())
    return Both(
        model=weights,
        columns=columns,
        local=local.match(columns, weights),
        found=found,
        pairs={name: pairs[name].to_numpy() for name in pairs.column_names},
        few=matched,
        few_local=local.match(encode(few), weights),
        disk=disk,
    )


def population() -> list[Record]:
    """Families; persons entered twice in one; a crowd's number; a family that comes too often."""
    records = World(seed=21, persons=15_000).records
    again = [
        msgspec.structs.replace(record, person_id=UUID(int=at), phones=())
        for at, record in enumerate(records[::500])
    ]
    crowd = keys.PER_BLOCK + 10
    shown = (Document(type="passport", number="123456789"),)
    records[:crowd] = [
        msgspec.structs.replace(record, documents=(*record.documents, *shown))
        for record in records[:crowd]
    ]
    family = [record for record in records if record.household_id == records[0].household_id]
    often = [
        msgspec.structs.replace(
            record, person_id=UUID(int=1000 * place + at), household_id=UUID(int=place)
        )
        for place in range(1, choose.CLUSTER_MAX + 6)
        for at, record in enumerate(family)
    ]
    records[-1] = msgspec.structs.replace(records[-1], ubigeo=CANARY, surnames=(CANARY,))
    # Members of a registration needn't stand together, nor registrations in any order.
    return [*again[::2], *records[::2], *often, *records[1::2], *again[1::2]]


def test_spark_finds_the_pairs_of_one_machine_and_no_others(both):
    assert len(both.local.a) >= 20_000
    order = in_order(both)
    np.testing.assert_array_equal(both.pairs["a"], both.local.a[order])
    np.testing.assert_array_equal(both.pairs["b"], both.local.b[order])
    assert both.found.candidates == both.local.candidates


def test_every_field_of_every_pair_has_the_same_level(both):
    order = in_order(both)
    codes = levels.compare(both.columns, both.local.a, both.local.b).codes
    codes[:, FIELDS.index("household")] = both.local.household
    assert set(both.local.household.tolist()) == {0, 1, 2, 3}
    for at, field in enumerate(FIELDS):
        np.testing.assert_array_equal(both.pairs[field], codes[order, at], err_msg=field)


def test_weights_are_the_same_to_a_billionth_of_a_bit(both):
    order = in_order(both)
    expected = both.local.weight_bits[order]
    np.testing.assert_allclose(both.pairs["weight_bits"], expected, atol=1e-9, rtol=0)
    probability = both.local.probability[order]
    np.testing.assert_allclose(both.pairs["probability"], probability, atol=1e-9, rtol=0)


def test_the_same_pairs_are_kept_and_the_same_persons_entered_twice(both):
    order = in_order(both)
    np.testing.assert_array_equal(both.pairs["kept"], both.local.kept[order])
    registration = both.columns.registration
    within = registration[both.pairs["a"]] == registration[both.pairs["b"]]
    np.testing.assert_array_equal(both.pairs["twice"], within)
    assert within.sum() >= 10
    assert 1_000 < both.pairs["kept"].sum() < len(order) - 1_000


def test_clusters_are_the_same(both):
    lowest = np.arange(len(both.columns))
    lowest[both.found.rows] = both.found.clusters
    together = set(zip(lowest.tolist(), both.local.clusters.tolist(), strict=True))
    assert len(together) == len(set(lowest)) == len(set(both.local.clusters))
    assert len(set(lowest)) < len(lowest) - 1_000
    assert np.bincount(lowest).max() == choose.CLUSTER_MAX


def test_what_a_crowd_kept_out_is_told(both):
    assert both.found.crowds == both.local.crowds
    assert both.found.crowds["document"] > keys.PER_BLOCK


def test_nothing_of_a_record_reaches_a_disk_in_the_clear(both):
    assert len(both.disk) > 1_000_000
    assert CANARY.encode() not in both.disk


def test_records_go_in_and_arrays_come_out(both):
    found, expected = both.few, both.few_local
    for name in ("a", "b", "household", "kept"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_allclose(found.weight_bits, expected.weight_bits, atol=1e-9, rtol=0)
    same = set(zip(found.clusters.tolist(), expected.clusters.tolist(), strict=True))
    assert len(same) == found.clusters.max() + 1 == expected.clusters.max() + 1
    assert found.candidates == expected.candidates
    assert found.crowds == expected.crowds == {}


def test_both_workers_took_part(both, cluster):
    for worker in (1, 2):
        assert "Asked to launch executor" in (cluster.folder / f"worker-{worker}.log").read_text()


def in_order(both: Both) -> np.ndarray:
    """Return the order of Both.pairs: by rows, those within one registration last."""
    found, registration = both.local, both.columns.registration
    return np.lexsort((found.b, found.a, registration[found.a] == registration[found.b]))
