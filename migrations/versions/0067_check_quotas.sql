-- How many persons an organisation may check a day, where the sub-group has agreed another number
-- than the service's own. The last word that has not ended counts; all of them stay.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.check_quota (
    quota_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT check_quota_pkey PRIMARY KEY,
    partner_id uuid NOT NULL CONSTRAINT check_quota_of_partner REFERENCES cbi.partner,
    persons_per_day integer NOT NULL CONSTRAINT check_quota_persons CHECK (
        persons_per_day BETWEEN 0 AND 250000),
    -- Its last day.
    until date NOT NULL,
    at timestamptz NOT NULL,
    -- Who set it, and of which organisation: nobody sets their own.
    actor_id uuid NOT NULL DEFAULT cbi.actor_id(),
    set_by uuid NOT NULL DEFAULT cbi.partner_id(),
    request_id text NOT NULL DEFAULT coalesce(current_setting('app.request_id', true), ''),
    CONSTRAINT check_quota_not_own CHECK (set_by <> partner_id),
    CONSTRAINT check_quota_ends CHECK (
        until BETWEEN (at AT TIME ZONE 'America/Lima')::date
            AND (at AT TIME ZONE 'America/Lima')::date + 183)
);
CREATE INDEX check_quota_by_partner ON cbi.check_quota (partner_id, quota_no);
CALL cbi.make_append_only('cbi.check_quota');
CALL cbi.guard('cbi.check_quota',
    $$partner_id = cbi.partner_id() OR cbi.has_role('coordinator', 'auditor')$$,
    $$set_by = cbi.partner_id() AND actor_id = cbi.actor_id() AND cbi.has_role('coordinator')$$);

RESET ROLE;
