-- Part `callbacks`: where the events of single jobs go. Needs `queue`.

local WEBHOOKS = 'webhooks' -- the group that reads events for endpoints and callbacks

-- hash: job id to its callback
local function callbacks_key() return string.sub(jobs, 1, -5) .. 'callbacks' end
