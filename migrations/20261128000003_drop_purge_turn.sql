-- Instances may purge at the same time: each expired row is deleted once.
DROP TABLE purge_turn;
