-- Submissions of KoboToolbox or ODK that were taken in. One that is edited gets an id of its own and
-- names the one that it replaces; the household is found by that, whatever its code says. Ids are
-- kept as keyed hashes, as references are.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.submission (
    partner_id uuid NOT NULL,
    instance_key bigint NOT NULL,
    household_id uuid NOT NULL,
    replaces_key bigint,
    at timestamptz NOT NULL,
    CONSTRAINT submission_once PRIMARY KEY (partner_id, instance_key),
    CONSTRAINT submission_of_household FOREIGN KEY (household_id, partner_id)
        REFERENCES cbi.household (household_id, partner_id)
);
CREATE INDEX submission_replaced ON cbi.submission (partner_id, replaces_key)
    WHERE replaces_key IS NOT NULL;
CALL cbi.make_append_only('cbi.submission');
CALL cbi.guard('cbi.submission', $$partner_id = (SELECT cbi.partner_id())$$,
    $$partner_id = cbi.partner_id()$$);

RESET ROLE;
