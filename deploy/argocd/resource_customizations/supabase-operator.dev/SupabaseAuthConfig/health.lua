-- Health of the kinds of supabase-operator.dev for Argo CD; the same file for each kind. The first rule that fits counts.
local hs = {}

local function condition(kind)
  if obj.status ~= nil and obj.status.conditions ~= nil then
    for _, found in ipairs(obj.status.conditions) do
      if found.type == kind then
        return found
      end
    end
  end
  return nil
end

local function is(kind, status)
  local found = condition(kind)
  return found ~= nil and found.status == status
end

local function say(status, kind, default)
  hs.status = status
  local found = condition(kind)
  if found ~= nil and found.message ~= nil and found.message ~= "" then
    hs.message = found.message
  else
    hs.message = default
  end
  return hs
end

if obj.spec ~= nil and obj.spec.suspend == true then
  hs.status = "Suspended"
  hs.message = "spec.suspend is set"
  return hs
end

-- Before the first look observedGeneration is -1.
if obj.status == nil or obj.status.observedGeneration == nil
    or obj.status.observedGeneration < (obj.metadata.generation or 0) then
  hs.status = "Progressing"
  hs.message = "Waiting for the operator to look at the object"
  return hs
end

if is("DeletionBlocked", "True") then
  return say("Degraded", "DeletionBlocked", "The object is kept")
end
if is("Stalled", "True") then
  return say("Degraded", "Stalled", "Somebody's help is needed")
end

local ready = condition("Ready")
if ready ~= nil and ready.status == "True" and ready.reason == "Paused" then
  return say("Suspended", "Ready", "The project is paused")
end
if is("Reconciling", "True") then
  return say("Progressing", "Reconciling", "Work is under way")
end
if ready == nil or ready.status ~= "True" then
  return say("Progressing", "Ready", "Not ready yet")
end
return say("Healthy", "Ready", "Ready")
