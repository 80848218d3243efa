"""The dispatcher service: releases due jobs and publishes what the queues hold. Every replica does all of it."""
