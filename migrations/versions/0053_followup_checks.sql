-- Weeks pass between a round's list and its follow-up, and registrations change: a follow-up's list
-- is matched anew like a round's (0048), page by page, and not approved on a stale check.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.followup_check_page (
    followup_id uuid NOT NULL,
    round_id uuid NOT NULL,
    check_no integer NOT NULL CONSTRAINT followup_check_page_check_positive CHECK (check_no >= 1),
    page_no integer NOT NULL CONSTRAINT followup_check_page_no_positive CHECK (page_no >= 1),
    previous integer GENERATED ALWAYS AS (CASE WHEN page_no > 1 THEN page_no - 1 END) STORED,
    partner_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    model_id text NOT NULL,
    -- Of the check's first page: what it says is as old as that.
    begun_at timestamptz NOT NULL,
    at timestamptz NOT NULL,
    upto_payment uuid NOT NULL,
    payments integer NOT NULL,
    unread integer NOT NULL,
    cases integer NOT NULL,
    is_last boolean NOT NULL,
    list_digest bytea,
    CONSTRAINT followup_check_page_pkey PRIMARY KEY (followup_id, check_no, page_no),
    CONSTRAINT followup_check_page_of_followup FOREIGN KEY (followup_id, round_id, partner_id)
        REFERENCES cbi.followup (followup_id, round_id, partner_id),
    CONSTRAINT followup_check_page_after FOREIGN KEY (followup_id, check_no, previous)
        REFERENCES cbi.followup_check_page (followup_id, check_no, page_no),
    CONSTRAINT followup_check_page_counts CHECK (
        payments >= 0 AND cases >= 0 AND unread BETWEEN 0 AND payments),
    CONSTRAINT followup_check_page_ends CHECK (is_last = (list_digest IS NOT NULL)),
    CONSTRAINT followup_check_page_times CHECK (at >= begun_at)
);
CALL cbi.make_append_only('cbi.followup_check_page');
CALL cbi.guard('cbi.followup_check_page',
    $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);

CREATE FUNCTION cbi.check_followup_check_page() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    before cbi.followup_check_page;
    after uuid := '00000000-0000-0000-0000-000000000000';
BEGIN
    IF NEW.page_no > 1 THEN
        SELECT * INTO before FROM cbi.followup_check_page AS p
        WHERE p.followup_id = NEW.followup_id AND p.check_no = NEW.check_no
          AND p.page_no = NEW.page_no - 1;
        after := before.upto_payment;
    END IF;
    IF before.is_last OR NEW.upto_payment <= after OR NEW.page_no > 1
           AND (NEW.begun_at, NEW.model_id) IS DISTINCT FROM (before.begun_at, before.model_id) THEN
        PERFORM cbi.refuse_in_followup(NEW.followup_id, 'followup_check_page_in_order');
    END IF;
    IF NEW.payments <> (
            SELECT count(*) FROM cbi.followup_payment AS e WHERE e.followup_id = NEW.followup_id
                AND e.payment_id > after AND e.payment_id <= NEW.upto_payment)
       OR NEW.is_last AND (
            EXISTS (SELECT FROM cbi.followup_payment AS e WHERE e.followup_id = NEW.followup_id
                AND e.payment_id > NEW.upto_payment)
            OR NEW.list_digest IS DISTINCT FROM (
                SELECT l.list_digest FROM cbi.followup_list(NEW.followup_id) AS l)) THEN
        PERFORM cbi.refuse_in_followup(NEW.followup_id, 'followup_check_page_of_list');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER followup_check_page_checked AFTER INSERT ON cbi.followup_check_page
    FOR EACH ROW EXECUTE FUNCTION cbi.check_followup_check_page();
ALTER TABLE cbi.followup_check_page ENABLE ALWAYS TRIGGER followup_check_page_checked;

-- As of a round: a day where the program says nothing, and never more than a week.
CREATE FUNCTION cbi.check_fresh_followup() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    checked cbi.followup_check_page;
    hours_max integer := least(168, coalesce(
        nullif(current_setting('app.check_hours_max', true), '')::integer, 24));
    in_use text;
BEGIN
    -- A signature out of order is refused for that.
    IF NOT EXISTS (SELECT FROM cbi.followup_step AS s
                   WHERE s.followup_id = NEW.followup_id AND s.step = 3) THEN
        RETURN NULL;
    END IF;
    SELECT * INTO checked FROM cbi.followup_check_page AS p
    WHERE p.followup_id = NEW.followup_id AND p.is_last ORDER BY p.check_no DESC LIMIT 1;
    SELECT a.model_id INTO in_use FROM dedup.model_activation AS a
    ORDER BY a.activation_no DESC LIMIT 1;
    IF checked.followup_id IS NULL OR checked.model_id <> in_use
       OR NEW.at - checked.begun_at > make_interval(hours => hours_max) THEN
        PERFORM cbi.refuse_in_followup(NEW.followup_id, 'followup_step_fresh');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER followup_step_fresh AFTER INSERT ON cbi.followup_step
    FOR EACH ROW WHEN (NEW.step = 4) EXECUTE FUNCTION cbi.check_fresh_followup();
ALTER TABLE cbi.followup_step ENABLE ALWAYS TRIGGER followup_step_fresh;

RESET ROLE;
