"""How values look: numbers, times, user text, charts, JSON. It makes markup, and knows neither requests nor the API."""
