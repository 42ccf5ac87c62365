//! Instances that wait across restarts and kills, and on a real broker.
