-- A session of the console is a sealed cookie, and ends by itself within hours. Who signs out ends
-- it at once: a copy of the cookie opens nothing any more.
SET LOCAL ROLE cbi_owner;

CREATE TABLE cbi.console_end (
    session_id uuid CONSTRAINT console_end_pkey PRIMARY KEY,
    partner_id uuid NOT NULL CONSTRAINT console_end_of_partner REFERENCES cbi.partner,
    actor_id uuid NOT NULL,
    ended_at timestamptz NOT NULL
);
CALL cbi.make_append_only('cbi.console_end');
CALL cbi.guard('cbi.console_end', $$actor_id = cbi.actor_id()$$,
    $$partner_id = cbi.partner_id() AND actor_id = cbi.actor_id()$$);

RESET ROLE;
