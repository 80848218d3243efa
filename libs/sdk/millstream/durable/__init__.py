"""Durable handlers: their steps are stored, so that another attempt goes on behind them (ADR 79)."""
