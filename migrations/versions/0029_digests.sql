-- An auditor compares the digests of the files that went to the provider with those that the
-- provider got. The bytes stand sealed beside them, and the routes that open them are finance's.
SET LOCAL ROLE cbi_owner;

ALTER POLICY reading ON cbi.payment_file USING (
    (partner_id = cbi.partner_id() AND cbi.has_role('finance') OR cbi.has_role('auditor'))
    AND EXISTS (SELECT FROM cbi.round_step AS s
        WHERE s.round_id = payment_file.round_id AND s.step = 5));
ALTER POLICY reading ON cbi.followup_file USING (
    (partner_id = cbi.partner_id() AND cbi.has_role('finance') OR cbi.has_role('auditor'))
    AND EXISTS (SELECT FROM cbi.followup_step AS s
        WHERE s.followup_id = followup_file.followup_id AND s.step = 5));

RESET ROLE;
