-- What is due is taken by its act, so that a month's pushes keep neither payments nor events waiting. Beside that, one row of
-- `exchange_pace` is for each kind of call ("stripe pay invoice"), since a remote limits its endpoints too.
--
-- Old code can run beside it: it finds what is due by the new index too, and knows only the pace of the whole account.

CREATE INDEX exchange_due_by_act ON exchange (target, act, position) WHERE status IN ('pending', 'sending', 'failed');
DROP INDEX exchange_due;
