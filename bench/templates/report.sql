SELECT account_id, currency, COUNT(*), COUNT(answer_ms), SUM(talk_ms), SUM(fee), SUM(expense)
FROM ({{DAYS}}) GROUP BY account_id, currency;
