-- The health of every kind of postbase.sh in Argo CD; docs/gitops.md says where it goes.
-- The questions are kstatus', in its order, so that Argo CD and Flux agree. Nothing of Lua's library
-- `string` is used: Argo CD does not open it for a script of argocd-cm.

local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is(type, value)
  return conditions[type] ~= nil and conditions[type].status == value
end

local function health(word, type)
  return { status = word, message = conditions[type].message }
end

if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "It is being deleted" }
end

-- -1 by the schema's default: what no operator has seen yet is not taken for healthy.
if status.observedGeneration ~= nil and status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "The operator has not seen the newest spec yet" }
end

if is("Reconciling", "True") then
  return health("Progressing", "Reconciling")
end
if is("Stalled", "True") then
  return health("Degraded", "Stalled")
end

-- An ApiToken has nothing to become.
if conditions.Ready == nil then
  return { status = "Healthy", message = "" }
end
if is("Ready", "True") then
  local answer = health("Healthy", "Ready")
  if is("Accepted", "False") then
    answer.message = answer.message .. ". " .. conditions.Accepted.message
  end
  return answer
end

-- Not ready, and nobody works on it: a run that has failed, or what waits for somebody to say go.
if status.phase == "Failed" then
  return health("Degraded", "Ready")
end
if status.phase == "Paused" or conditions.Ready.reason == "NotImplemented" then
  return health("Suspended", "Ready")
end
return health("Progressing", "Ready")
