"""The dispatcher service: releases due jobs, expires late ones, and publishes gauges. Every replica runs all duties."""
