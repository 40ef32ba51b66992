"""Match everybody with everybody on Spark: how the work is split, nothing else.

Levels, weights and choices are those of `dedup.batch`. Between machines go records, keys and row
numbers; words are numbered anew wherever pairs are compared. docs/scaling.md tells what is
bounded and what comes to the driver. Needs the extra `cbi[spark]`, here and on every worker.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice

import msgspec
import numpy as np
import pyarrow as pa
from pyspark import SparkContext
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812 -- as everybody who knows Spark reads it

from dedup.batch import choose, keys, local
from dedup.batch import spark_tasks as tasks
from dedup.batch.spark_tasks import Rows, Twins
from dedup.model import Model
from dedup.record import Record

RECORDS_PER_BATCH = 50_000
JAVA_STOPS_SECONDS_MAX = 60
# Records are personal data: nothing of them crosses a network or reaches a disk in the clear.
SETTINGS = {
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.io.encryption.enabled": "true",
    "spark.eventLog.enabled": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # What `match_records` brings back is an array here, however large.
    "spark.driver.maxResultSize": "0",
}
RECORDS = pa.schema({"row": pa.int64(), "registration_id": pa.binary(16), "record": pa.binary()})


@dataclass(frozen=True, kw_only=True)
class Found:
    """What Spark found; `pairs` is held by the workers until `pairs.unpersist()`.

    `pairs` has the columns of `spark_tasks.PAIRS`, a < b: levels as codes, `kept` and `twice` as in
    `local.Matched`; a registration's number is its lowest row. `rows` are those that stand in a
    cluster with another, ascending, and `clusters` the lowest row of the cluster of each.
    """

    pairs: DataFrame
    rows: Rows
    clusters: Rows
    candidates: int
    crowds: dict[str, int]


def match_records(spark: SparkSession, records: Iterable[Record], model: Model) -> local.Matched:
    """Match as `local.match` does, on Spark; rows count the records.

    The records go through this process, and all pairs come back to it. Where that is too much,
    feed `match` from files that Spark can read.
    """
    table = packed(records)
    found = match(spark.createDataFrame(table), model)
    pairs = found.pairs.select(
        "a", "b", "weight_bits", "probability", "household", "kept", "twice"
    ).toArrow()
    found.pairs.unpersist()
    count = table.num_rows
    columns = {name: pairs[name].to_numpy() for name in pairs.column_names}
    order = np.lexsort((columns["b"], columns["a"], columns["twice"]))
    first = np.arange(count)
    first[found.rows] = found.clusters
    return local.Matched(
        a=columns["a"][order].astype(np.int32),
        b=columns["b"][order].astype(np.int32),
        weight_bits=columns["weight_bits"][order],
        probability=columns["probability"][order],
        household=columns["household"][order].astype(np.uint8),
        kept=columns["kept"][order],
        clusters=np.unique(first, return_inverse=True)[1].astype(np.int32),
        candidates=found.candidates,
        crowds=found.crowds,
    )


def match(records: DataFrame, model: Model) -> Found:
    """Find, compare and weigh all pairs that share a key, and choose what holds together.

    `records` has the columns of RECORDS: `row`, a number of one's own from 0 on that stays the
    same when Spark reads the data again (of equal pairs the one of lower rows wins);
    `registration_id` of any type; and the record as `packed` writes it.
    """
    with ExitStack() as stack:

        def held(frame: DataFrame) -> DataFrame:
            frame = frame.persist()
            stack.callback(frame.unpersist)
            return frame

        persons = held(_persons(records))
        blocks = held(_blocks(persons))
        crowded = blocks.where(F.col("size") > keys.PER_BLOCK).groupBy("kind").count()
        crowds = {line["kind"]: line["count"] for line in crowded.orderBy("kind").collect()}
        candidates = held(_candidates(blocks.where(F.col("size") <= keys.PER_BLOCK)))
        count = candidates.count()
        cores = records.sparkSession.sparkContext.defaultParallelism
        scored = partial(
            _scored,
            persons=persons,
            model=model,
            buckets=max(cores, -(-count // tasks.PAIRS_PER_BUCKET)),
        )
        known = held(scored(candidates))
        more = _across(known.where(F.col("weight_bits") >= model.review_bits), persons)
        double = held(_twice(persons, model))
        twins = _twins(double)
        pairs = (
            _chosen(known, scored(more), twins, model).unionByName(double.drop("sure")).persist()
        )
        rows, clusters = _clusters(pairs, twins, model)
    return Found(pairs=pairs, rows=rows, clusters=clusters, candidates=count, crowds=crowds)


def packed(records: Iterable[Record]) -> pa.Table:
    """Pack records as `match` takes them, numbered in their order."""
    numbered, batches = enumerate(records), []
    while part := list(islice(numbered, RECORDS_PER_BATCH)):
        columns = (
            [row for row, _ in part],
            [record.household_id.bytes for _, record in part],
            [msgspec.msgpack.encode(record) for _, record in part],
        )
        arrays = [pa.array(one, kind) for one, kind in zip(columns, RECORDS.types, strict=True)]
        batches.append(pa.record_batch(arrays, schema=RECORDS))
    return pa.Table.from_batches(batches, schema=RECORDS)


@contextmanager
def session(master: str, settings: Mapping[str, str] | None = None) -> Iterator[SparkSession]:
    """Connect to a cluster, all traffic and spilled data encrypted; end it and Java at the end.

    `settings` go over the ones here. A standalone cluster needs `spark.authenticate.secret` in
    its spark-defaults.conf and in ours; Spark refuses to start without.
    """
    if SparkSession.getActiveSession() is not None:
        raise RuntimeError("Spark runs in this process already; its settings can't be changed")
    builder = SparkSession.builder.master(master).appName("cbi dedup")
    for name, value in (SETTINGS | dict(settings or {})).items():
        builder = builder.config(name, value)
    try:
        spark = builder.getOrCreate()
        try:
            yield spark
        finally:
            spark.stop()
    finally:
        _end_java()


def _persons(records: DataFrame) -> DataFrame:
    """Add each person's registration, as its lowest row, and how many persons that has."""
    together = Window.partitionBy("registration_id")
    return records.select(
        "row",
        F.min("row").over(together).alias("registration"),
        F.count("*").over(together).alias("members"),
        "record",
    )


def _blocks(persons: DataFrame) -> DataFrame:
    """Return the keys that several rows have, and the size of the block each stands in."""
    block = Window.partitionBy("kind", "key")
    return (
        _mapped(persons.select("row", "registration", "record"), tasks.keys, tasks.KEYS)
        .withColumn("size", F.count("*").over(block))
        .where(F.col("size") > 1)
    )


def _candidates(blocks: DataFrame) -> DataFrame:
    """Return the pairs that share a key, each once, never two of one registration."""
    members = F.collect_list(F.struct("row", "registration")).alias("members")
    one, other = F.explode("members").alias("one"), F.explode("members").alias("other")
    pairs = blocks.groupBy("kind", "key").agg(members).select("members", one).select("one", other)
    return (
        pairs.where("one.row < other.row AND one.registration <> other.registration")
        .selectExpr(
            "one.row AS a",
            "other.row AS b",
            "one.registration AS registration_a",
            "other.registration AS registration_b",
        )
        .distinct()
    )


def _scored(pairs: DataFrame, *, persons: DataFrame, model: Model, buckets: int) -> DataFrame:
    """Compare and weigh pairs, bucket by bucket; a record comes once to each bucket it is in.

    The pairs of a registration share a bucket, for a family meets the same few other families.
    """
    pairs = pairs.withColumn("bucket", F.pmod(F.xxhash64(_lower()), F.lit(buckets)).cast("int"))
    sides = pairs.select(F.explode(F.array("a", "b")).alias("row"), "bucket")
    wanted = sides.groupBy("row").agg(F.collect_set("bucket").alias("buckets"))
    # A line is a record where b is -1; it sorts before the pairs of its bucket.
    nobody, nothing = F.lit(-1).cast("long"), F.lit(None).cast("binary")
    lines = wanted.join(persons, "row").select(
        F.explode("buckets").alias("bucket"),
        F.col("row").alias("a"),
        nobody.alias("b"),
        F.col("registration").alias("registration_a"),
        nobody.alias("registration_b"),
        "members",
        "record",
    )
    lines = lines.unionByName(
        pairs.withColumns({"members": F.lit(0).cast("long"), "record": nothing})
    )
    ordered = lines.repartitionById(buckets, "bucket").sortWithinPartitions("bucket", "b", "a")
    return _mapped(ordered, partial(tasks.weighed, model=model), tasks.WEIGHED)


def _across(sure: DataFrame, persons: DataFrame) -> DataFrame:
    """Return all pairs between registrations whose families may be one."""
    near = _near(sure)
    one, other = (
        persons.select(
            F.col("registration").alias(side),
            F.col("row").alias(f"row_{side}"),
            F.col("members").alias(f"members_{side}"),
        )
        for side in ("lower", "upper")
    )
    many = F.col("members_lower") * F.col("members_upper")
    turned = F.col("row_lower") > F.col("row_upper")

    def first(name: str, otherwise: str) -> Column:
        return F.when(turned, F.col(otherwise)).otherwise(F.col(name))

    return (
        near.join(one, "lower")
        .join(other, "upper")
        .where(many <= local.PAIRS_OF_LINKED_MAX)
        .select(
            first("row_lower", "row_upper").alias("a"),
            first("row_upper", "row_lower").alias("b"),
            first("lower", "upper").alias("registration_a"),
            first("upper", "lower").alias("registration_b"),
        )
    )


def _near(sure: DataFrame) -> DataFrame:
    """Return the registrations that share somebody, or are linked by a third that does."""
    one, other = F.col("registration_a"), F.col("registration_b")
    ways = [F.struct(x.alias("centre"), y.alias("other")) for x, y in ((one, other), (other, one))]
    links = sure.select(F.explode(F.array(*ways)).alias("link")).select("link.*").distinct()
    # In a crowd only neighbours in this order count: it is the one of `local`.
    order = Window.partitionBy("centre").orderBy(F.col("other") < F.col("centre"), "other")
    following = F.collect_list("other").over(order.rowsBetween(1, local.LINKS_MAX - 1))
    around = links.select("other", F.concat(F.array("centre"), following).alias("around"))
    pairs = around.select("other", F.explode("around").alias("one"))
    return pairs.select(
        F.least("one", "other").alias("lower"), F.greatest("one", "other").alias("upper")
    ).distinct()


def _chosen(known: DataFrame, more: DataFrame, twins: Twins, model: Model) -> DataFrame:
    """Add what families say, and choose one to one; `more` may hold pairs of `known` again."""
    found, unfound = (
        frame.withColumns({"found": F.lit(found), "lower": _lower()})
        for frame, found in ((known, True), (more, False))
    )
    ordered = found.unionByName(unfound).repartition("lower").sortWithinPartitions("lower")
    return _mapped(ordered, partial(tasks.chosen, twins=twins, model=model), tasks.PAIRS)


def _twice(persons: DataFrame, model: Model) -> DataFrame:
    families = persons.where(F.col("members") > 1).repartition("registration")
    ordered = families.sortWithinPartitions("registration", "row")
    return _mapped(ordered, partial(tasks.twice, model=model), tasks.TWICE)


def _twins(double: DataFrame) -> Twins:
    """Bring here who surely was entered twice: few, and every worker must know them."""
    found = double.where("sure").select("a", "b", "registration_a").toArrow()
    return Twins(*(column.to_numpy() for column in found.columns))


def _clusters(pairs: DataFrame, twins: Twins, model: Model) -> tuple[Rows, Rows]:
    """Number clusters here: joining one may forbid another far away, so somebody must see all."""
    kept = pairs.where(F.col("kept") & ~F.col("twice"))
    kept = kept.where(F.col("weight_bits") >= model.review_bits)
    found = kept.select("a", "b", "registration_a", "registration_b", "weight_bits").toArrow()
    *sides, weights = (column.to_numpy() for column in found.columns)
    numbered = tasks.numbered(*sides, twins=twins)
    numbers = choose.clusters(
        numbered.registration, numbered.a, numbered.b, weights, twice=numbered.twice
    )
    _, first, back = np.unique(numbers, return_index=True, return_inverse=True)
    return numbered.rows, numbered.rows[first[back]]


def _lower() -> Column:
    return F.least("registration_a", "registration_b")


def _mapped(
    frame: DataFrame, work: Callable[[tasks.Frames], tasks.Frames], schema: str
) -> DataFrame:
    return frame.mapInPandas(work, schema)


def _end_java() -> None:
    """End the Java process: it holds memory, and its temporary folders, as long as it lives."""
    gateway = SparkContext._gateway  # noqa: SLF001 -- there is no public way
    if gateway is None:
        return
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(JAVA_STOPS_SECONDS_MAX)
    SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001 -- as above
