"""The dispatcher service: releases due jobs, expires late ones, shows what the queues hold. Every replica does all."""
