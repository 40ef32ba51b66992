-- A grant that is paid once may keep other kinds of assistance away: for the month in which it can be
-- paid, and the cool-down of its pair after that, as any other promise does for its months.
SET LOCAL ROLE cbi_owner;

-- As before, but that the days of a one-off grant are for its own kind alone.
CREATE OR REPLACE FUNCTION cbi.overlap_windows(
    held text, promised daterange, held_on date, rules jsonb)
RETURNS TABLE (pair text, blocked text, months daterange)
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT least(held COLLATE "C", o.kind) || ' ' || greatest(held COLLATE "C", o.kind), o.kind,
        CASE WHEN g.days IS NOT NULL AND o.kind = held
            THEN daterange(g.paid_on, g.paid_on + g.days)
            ELSE daterange(lower(g.months), (upper(g.months) + make_interval(months => coalesce((
                SELECT (b ->> 'cooldown_months')::integer
                FROM jsonb_array_elements(rules -> 'blocks') AS b
                WHERE b ->> 'first' = held AND b ->> 'then' = o.kind), 0)))::date) END
    FROM (SELECT held AS kind UNION
          SELECT CASE held WHEN b ->> 'first' THEN b ->> 'then' ELSE b ->> 'first' END
          FROM jsonb_array_elements(rules -> 'blocks') AS b
          WHERE held IN (b ->> 'first', b ->> 'then')) AS o
    CROSS JOIN (
        SELECT d.days, d.paid_on, CASE WHEN d.days IS NULL THEN promised
            ELSE daterange(date_trunc('month', d.paid_on::timestamp)::date,
                (date_trunc('month', d.paid_on::timestamp) + interval '1 month')::date)
            END AS months
        FROM (SELECT (
            SELECT (w ->> 'window_days')::integer FROM jsonb_array_elements(rules -> 'one_off') AS w
            WHERE w ->> 'type' = held) AS days, greatest(lower(promised), held_on) AS paid_on) AS d
        ) AS g
    ORDER BY 1
$$;

RESET ROLE;
