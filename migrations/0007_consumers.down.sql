-- destroys: all consumers with their positions, and the list of events they set aside (not the events)
DROP TABLE IF EXISTS annals_consumer_parked;
DROP TABLE IF EXISTS annals_consumer_members;
DROP TABLE IF EXISTS annals_consumer_partitions;
DROP TABLE IF EXISTS annals_consumers;
