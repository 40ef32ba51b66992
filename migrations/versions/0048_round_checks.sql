-- A check of a payment list: everybody on it matched against everybody anew, page by page, under one
-- model. A list whose last whole check began too long ago, or under another model than is in use, is
-- not approved. A list only grows shorter once it is calculated, so a check of the longer one holds.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.round_check_page (
    round_id uuid NOT NULL,
    check_no integer NOT NULL CONSTRAINT round_check_page_check_positive CHECK (check_no >= 1),
    page_no integer NOT NULL CONSTRAINT round_check_page_no_positive CHECK (page_no >= 1),
    previous integer GENERATED ALWAYS AS (CASE WHEN page_no > 1 THEN page_no - 1 END) STORED,
    partner_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    model_id text NOT NULL,
    -- Of the check's first page: what it says is as old as that.
    begun_at timestamptz NOT NULL,
    at timestamptz NOT NULL,
    upto_payment uuid NOT NULL,
    payments integer NOT NULL,
    -- Of these, whose records could not be read: declined, withdrawn, erased, or damaged.
    unread integer NOT NULL,
    -- Cases that the page opened, opened anew or gave more evidence to.
    cases integer NOT NULL,
    is_last boolean NOT NULL,
    list_digest bytea,
    CONSTRAINT round_check_page_pkey PRIMARY KEY (round_id, check_no, page_no),
    CONSTRAINT round_check_page_of_round FOREIGN KEY (round_id, partner_id)
        REFERENCES cbi.round (round_id, partner_id),
    CONSTRAINT round_check_page_after FOREIGN KEY (round_id, check_no, previous)
        REFERENCES cbi.round_check_page (round_id, check_no, page_no),
    CONSTRAINT round_check_page_counts CHECK (
        payments >= 0 AND cases >= 0 AND unread BETWEEN 0 AND payments),
    CONSTRAINT round_check_page_ends CHECK (is_last = (list_digest IS NOT NULL)),
    CONSTRAINT round_check_page_times CHECK (at >= begun_at)
);
CALL cbi.make_append_only('cbi.round_check_page');
CALL cbi.guard('cbi.round_check_page',
    $$partner_id = cbi.partner_id() OR cbi.has_role('auditor')$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);

-- Pages follow one another through the whole list of a calculated round: none is passed over, and
-- after the last stands nobody.
CREATE FUNCTION cbi.check_round_check_page() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    before cbi.round_check_page;
    after uuid := '00000000-0000-0000-0000-000000000000';
BEGIN
    IF NOT EXISTS (SELECT FROM cbi.round_step AS s
                   WHERE s.round_id = NEW.round_id AND s.step = 1) THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'round_check_page_of_list');
    END IF;
    IF NEW.page_no > 1 THEN
        SELECT * INTO before FROM cbi.round_check_page AS p WHERE p.round_id = NEW.round_id
            AND p.check_no = NEW.check_no AND p.page_no = NEW.page_no - 1;
        after := before.upto_payment;
    END IF;
    IF before.is_last OR NEW.upto_payment <= after OR NEW.page_no > 1
           AND (NEW.begun_at, NEW.model_id) IS DISTINCT FROM (before.begun_at, before.model_id) THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'round_check_page_in_order');
    END IF;
    IF NEW.payments <> (
            SELECT count(*) FROM cbi.entitlement AS e WHERE e.round_id = NEW.round_id
                AND e.cancelled_at IS NULL AND e.entitlement_id > after
                AND e.entitlement_id <= NEW.upto_payment)
       OR NEW.is_last AND (
            EXISTS (SELECT FROM cbi.entitlement AS e WHERE e.round_id = NEW.round_id
                AND e.cancelled_at IS NULL AND e.entitlement_id > NEW.upto_payment)
            OR NEW.list_digest IS DISTINCT FROM (
                SELECT l.list_digest FROM cbi.list_of(NEW.round_id) AS l)) THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'round_check_page_of_list');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER round_check_page_checked AFTER INSERT ON cbi.round_check_page
    FOR EACH ROW EXECUTE FUNCTION cbi.check_round_check_page();
ALTER TABLE cbi.round_check_page ENABLE ALWAYS TRIGGER round_check_page_checked;

-- The program says how many hours a check counts; where it says nothing, a day, and never more than
-- a week.
CREATE FUNCTION cbi.check_fresh_list() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    checked cbi.round_check_page;
    hours_max integer := least(168, coalesce(
        nullif(current_setting('app.check_hours_max', true), '')::integer, 24));
    in_use text;
BEGIN
    -- A signature out of order is refused for that.
    IF NOT EXISTS (SELECT FROM cbi.round_step AS s
                   WHERE s.round_id = NEW.round_id AND s.step = 3) THEN
        RETURN NULL;
    END IF;
    SELECT * INTO checked FROM cbi.round_check_page AS p
    WHERE p.round_id = NEW.round_id AND p.is_last ORDER BY p.check_no DESC LIMIT 1;
    SELECT a.model_id INTO in_use FROM dedup.model_activation AS a
    ORDER BY a.activation_no DESC LIMIT 1;
    IF checked.round_id IS NULL OR checked.model_id <> in_use
       OR NEW.at - checked.begun_at > make_interval(hours => hours_max) THEN
        PERFORM cbi.refuse_in_round(NEW.round_id, 'round_step_fresh');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER round_step_fresh AFTER INSERT ON cbi.round_step
    FOR EACH ROW WHEN (NEW.step = 4) EXECUTE FUNCTION cbi.check_fresh_list();
ALTER TABLE cbi.round_step ENABLE ALWAYS TRIGGER round_step_fresh;

-- Rounds that were prepared before this rule are checked when their approver asks for it.
RESET ROLE;
