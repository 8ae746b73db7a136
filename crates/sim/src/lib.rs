//! Virtual-time world: simulated peers, faults, workload, checkers; the demo's customers and vendors.
