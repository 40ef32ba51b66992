-- Reservations and outcomes of a payment have the index that keeps them single; reversals and what
-- follows them are few, and have this one. A receipt reads both.
SET LOCAL ROLE cbi_owner;

CREATE INDEX transfer_other_of_payment ON ledger.transfer (payment_id)
    WHERE kind NOT IN ('reserve', 'post', 'void') AND payment_id IS NOT NULL;

RESET ROLE;
