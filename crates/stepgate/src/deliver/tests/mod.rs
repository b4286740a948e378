//! Deliveries to real receivers.
