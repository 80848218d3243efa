"""The reason for what a person has stopped, who need not be told: an endpoint that is disabled, a paused operation."""

BY_HAND = "by hand"
