"""What must hold besides the leaves: each a query for what does not, by name."""

CHECKS = {
    "balance_differs": """
        SELECT DISTINCT account_id AS detail
        FROM (SELECT account_id, partner_id, booked_on, effective_on, posted_at,
                sum(debit) AS debit, sum(credit) AS credit
            FROM (SELECT debit_account AS account_id, partner_id, effective_on, posted_at,
                    coalesce(booked_on, effective_on) AS booked_on, amount_minor AS debit,
                    0 AS credit
                FROM ledger.transfer
                UNION ALL SELECT credit_account, partner_id, effective_on, posted_at,
                    coalesce(booked_on, effective_on), 0, amount_minor FROM ledger.transfer) AS side
            GROUP BY account_id, partner_id, booked_on, effective_on, posted_at) AS moved
        FULL JOIN (SELECT account_id, partner_id, booked_on, effective_on, posted_at,
                sum(debit_minor) AS debit, sum(credit_minor) AS credit
            FROM ledger.delta
            GROUP BY account_id, partner_id, booked_on, effective_on, posted_at) AS delta
            USING (account_id, partner_id, booked_on, effective_on, posted_at)
        WHERE (moved.debit, moved.credit) IS DISTINCT FROM (delta.debit, delta.credit)""",
    "snapshot_differs": """
        SELECT s.account_id AS detail
        FROM (SELECT DISTINCT ON (account_id) * FROM ledger.snapshot
              ORDER BY account_id, below DESC) AS s
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(debit_minor), 0) AS debit, coalesce(sum(credit_minor), 0) AS credit
            FROM ledger.delta WHERE account_id = s.account_id AND xid < s.below) AS d
        WHERE (s.debit_minor, s.credit_minor) IS DISTINCT FROM (d.debit, d.credit)""",
    "account_differs": """
        SELECT t.transfer_id AS detail FROM ledger.transfer t
        LEFT JOIN ledger.account d ON d.account_id = t.debit_account
        LEFT JOIN ledger.account c ON c.account_id = t.credit_account
        WHERE t.amount_minor <= 0 OR t.debit_account = t.credit_account
            OR (d.currency, d.partner_id) IS DISTINCT FROM (t.currency, t.partner_id)
            OR (c.currency, c.partner_id) IS DISTINCT FROM (t.currency, t.partner_id)""",
    "below_floor": """
        SELECT a.account_id AS detail FROM ledger.account a JOIN ledger.delta d USING (account_id)
        WHERE a.floor_minor IS NOT NULL GROUP BY a.account_id, a.normal, a.floor_minor
        HAVING sum(d.debit_minor - d.credit_minor)
            * CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END < a.floor_minor""",
    "outcome_twice": """
        SELECT payment_id || '/' || attempt_no AS detail FROM ledger.outcome
        GROUP BY payment_id, attempt_no HAVING count(*) > 1""",
    "outcome_without_attempt": """
        SELECT o.payment_id || '/' || o.attempt_no AS detail FROM ledger.outcome o
        WHERE NOT EXISTS (SELECT FROM ledger.attempt a
            WHERE (a.payment_id, a.attempt_no, a.partner_id)
                = (o.payment_id, o.attempt_no, o.partner_id))""",
    "attempt_without_void": """
        SELECT a.payment_id || '/' || a.attempt_no AS detail FROM ledger.attempt a
        WHERE a.attempt_no > 1 AND NOT a.after_return AND NOT EXISTS (SELECT FROM ledger.outcome o
            WHERE o.payment_id = a.payment_id AND o.attempt_no = a.attempt_no - 1
                AND o.outcome = 'void')""",
    "attempt_after_delivery": """
        SELECT a.payment_id || '/' || a.attempt_no AS detail FROM ledger.attempt a
        JOIN ledger.outcome o ON o.payment_id = a.payment_id AND o.attempt_no < a.attempt_no
        WHERE o.outcome = 'post' AND NOT EXISTS (SELECT FROM ledger.giveback g
            WHERE g.payment_id = o.payment_id AND g.attempt_no = o.attempt_no)""",
    "attempt_amount_differs": """
        SELECT DISTINCT t.payment_id || '/' || t.attempt_no AS detail FROM ledger.transfer t
        LEFT JOIN ledger.attempt a USING (payment_id, attempt_no)
        WHERE t.kind = 'reserve'
            AND (a.amount_minor, a.currency) IS DISTINCT FROM (t.amount_minor, t.currency)""",
    # Recorded, and no money was moved: somebody made it up.
    "outcome_not_booked": """
        SELECT o.payment_id || '/' || o.attempt_no AS detail FROM ledger.outcome o
        WHERE NOT EXISTS (SELECT FROM ledger.transfer t
            WHERE t.payment_id = o.payment_id AND t.attempt_no = o.attempt_no
                AND t.kind = o.outcome)""",
    "giveback_without_reversal": """
        SELECT DISTINCT g.payment_id || '/' || g.attempt_no AS detail FROM ledger.giveback g
        JOIN ledger.transfer t USING (payment_id, attempt_no)
        WHERE t.kind = 'post'
            AND NOT EXISTS (SELECT FROM ledger.transfer r WHERE r.reverses = t.transfer_id)""",
    "reversal_without_giveback": """
        SELECT r.transfer_id AS detail FROM ledger.transfer r
        JOIN ledger.transfer o ON o.transfer_id = r.reverses
        WHERE o.kind = 'post' AND o.payment_id IS NOT NULL
            AND NOT EXISTS (SELECT FROM ledger.giveback g
                WHERE (g.payment_id, g.attempt_no, g.partner_id)
                    = (o.payment_id, o.attempt_no, o.partner_id))""",
    # What was delivered is posted, what was not is voided.
    "booked_without_outcome": """
        SELECT t.transfer_id AS detail FROM ledger.transfer t
        LEFT JOIN ledger.attempt a USING (payment_id, attempt_no, partner_id)
        LEFT JOIN ledger.outcome o USING (payment_id, attempt_no, partner_id)
        CROSS JOIN LATERAL (SELECT CASE o.outcome WHEN 'void' THEN 0
            WHEN 'post' THEN coalesce(o.part_minor, a.amount_minor) END AS delivered_minor) AS d
        WHERE t.kind IN ('post', 'void') AND t.payment_id IS NOT NULL
            AND (t.amount_minor, t.currency) IS DISTINCT FROM (CASE t.kind
                WHEN 'post' THEN d.delivered_minor ELSE a.amount_minor - d.delivered_minor END,
                a.currency)""",
    "outcome_part_of_nothing": """
        SELECT o.payment_id || '/' || o.attempt_no AS detail FROM ledger.outcome o
        LEFT JOIN ledger.attempt a USING (payment_id, attempt_no)
        WHERE o.part_minor IS NOT NULL
            AND (o.outcome = 'post' AND o.part_minor BETWEEN 1 AND a.amount_minor - 1)
                IS NOT true""",
    # Under whatever id: one move of an attempt into an account.
    "booked_twice": """
        SELECT DISTINCT payment_id || '/' || attempt_no AS detail FROM ledger.transfer
        WHERE kind IN ('reserve', 'post', 'void') AND payment_id IS NOT NULL
        GROUP BY payment_id, attempt_no, kind, debit_account HAVING count(*) > 1""",
    "reversal_differs": """
        SELECT r.transfer_id AS detail FROM ledger.transfer r
        LEFT JOIN ledger.transfer o ON o.transfer_id = r.reverses
        WHERE r.reverses IS NOT NULL
            AND (r.debit_account, r.credit_account, r.currency, r.partner_id)
                IS DISTINCT FROM (o.credit_account, o.debit_account, o.currency, o.partner_id)""",
    "reversed_too_much": """
        SELECT o.transfer_id AS detail FROM ledger.transfer o
        JOIN (SELECT reverses, sum(amount_minor) AS amount_minor FROM ledger.transfer
              WHERE reverses IS NOT NULL GROUP BY reverses) AS r ON r.reverses = o.transfer_id
        WHERE r.amount_minor > o.amount_minor""",
    "exchange_differs": """
        SELECT coalesce(x.entry_id, legs.entry_id) AS detail
        FROM ledger.exchange x
        FULL JOIN (SELECT entry_id, count(*) AS legs, array_agg(DISTINCT currency || amount_minor)
                AS amounts FROM ledger.transfer WHERE kind = 'exchange' GROUP BY entry_id) AS legs
            USING (entry_id)
        WHERE (legs.legs = 2 AND legs.amounts @> ARRAY[x.sold_currency || x.sold_minor,
            x.bought_currency || x.bought_minor]) IS NOT true""",
    # A transfer that was booked in a period after it was closed stands behind the period's digest.
    "booked_in_closed_period": """
        SELECT t.transfer_id AS detail FROM ledger.period p JOIN ledger.digest d USING (digest_id)
        JOIN ledger.transfer t ON t.partner_id = p.partner_id AND t.xid > d.xid
            AND coalesce(t.booked_on, t.effective_on) <= p.until""",
    "period_unsealed": """
        SELECT coalesce(p.partner_id || '/' || p.until, d.digest_id::text) AS detail
        FROM ledger.period p
        FULL JOIN (SELECT * FROM ledger.digest WHERE subject = 'period') AS d
            USING (digest_id, partner_id)
        WHERE d.sha256 IS DISTINCT FROM sha256(p.trial)""",
    "reconciliation_differs": """
        SELECT coalesce(e.run_id, d.digest_id) AS detail
        FROM ledger.reconciliation_end e
        FULL JOIN (SELECT * FROM ledger.digest WHERE subject = 'reconciliation') AS d
            USING (digest_id, partner_id)
        WHERE d.sha256 IS DISTINCT FROM sha256(
            coalesce((SELECT string_agg(p.result, ''::bytea ORDER BY p.page_no)
                FROM ledger.reconciliation_page p WHERE p.run_id = e.run_id), ''::bytea)
            || coalesce((SELECT string_agg(uuid_send(s.break_id), ''::bytea ORDER BY s.break_id)
                FROM ledger.sighting s WHERE s.run_id = e.run_id), ''::bytea))""",
    "allocated_too_much": """
        SELECT line_id AS detail FROM ledger.allocation_in_force c
        JOIN ledger.statement_line l USING (line_id)
        GROUP BY line_id, l.amount_minor HAVING sum(c.amount_minor) > l.amount_minor
        UNION SELECT payment_id FROM ledger.allocation_in_force c
        JOIN ledger.attempt a USING (payment_id, attempt_no)
        GROUP BY payment_id, attempt_no, claim, a.amount_minor
        HAVING sum(c.amount_minor) > a.amount_minor""",
}
