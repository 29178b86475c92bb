-- destroys: when each schedule ran last; after the next start nothing counts as missed

DROP TABLE annals_schedules;
