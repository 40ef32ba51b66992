-- The roots of the perfect subtrees of 256, 65,536 … leaves (levels 8, 16 …), written by the sealer
-- as they are finished. A proof of a million leaves then reads some hundred hashes. Verification
-- recomputes every one.
SET LOCAL ROLE cbi_owner;

CREATE TABLE ledger.mark (
    level smallint NOT NULL CONSTRAINT mark_level_known CHECK (level > 0 AND level % 8 = 0),
    place bigint NOT NULL CONSTRAINT mark_place_not_negative CHECK (place >= 0),
    root bytea NOT NULL CONSTRAINT mark_root_length CHECK (length(root) = 32),
    CONSTRAINT mark_pkey PRIMARY KEY (level, place)
);
CALL cbi.make_append_only('ledger.mark');
CALL cbi.guard('ledger.mark', 'true', $rule$cbi.has_role('sealer')$rule$);

-- Those of leaves that were sealed before.
DO $$
DECLARE
    high smallint := 8;
    at bigint;
    hashes bytea[];
BEGIN
    WHILE (SELECT count(*) FROM ledger.leaf) >> high > 0 LOOP
        at := 0;
        WHILE at < (SELECT count(*) FROM ledger.leaf) >> high LOOP
            IF high = 8 THEN
                SELECT array_agg(leaf_hash ORDER BY leaf_no) INTO hashes FROM ledger.leaf
                WHERE leaf_no >= at * 256 AND leaf_no < (at + 1) * 256;
            ELSE
                SELECT array_agg(m.root ORDER BY m.place) INTO hashes FROM ledger.mark AS m
                WHERE m.level = high - 8 AND m.place >= at * 256 AND m.place < (at + 1) * 256;
            END IF;
            WHILE cardinality(hashes) > 1 LOOP
                SELECT array_agg(sha256('\x01'::bytea || hashes[2 * n - 1] || hashes[2 * n]) ORDER BY n)
                INTO hashes FROM generate_series(1, cardinality(hashes) / 2) AS n;
            END LOOP;
            INSERT INTO ledger.mark (level, place, root) VALUES (high, at, hashes[1]);
            at := at + 1;
        END LOOP;
        high := high + 8;
    END LOOP;
END $$;

RESET ROLE;
