"""Takes jobs in: how many, from which queues and partitions, and which release is to run what this one cannot."""
