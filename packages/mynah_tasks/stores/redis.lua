#!lua name=LIBRARY

-- The steps that the tasks of a store can take, each atomic: what `mynah_tasks.book` is for one process, for several.
--
--   t:<id>       a task: its spec, and how far it is
--   kids:<id>    who waits for it, by order of acceptance        deps:<id>   whom it waits for
--   all          every task by order of acceptance               keys        idempotency key -> id
--   <status>     the tasks in that state, likewise
--   ready, heavy, suspects   what can run, by rank               paused, expiry   by the moment that ends it
--   leases       what is running, by the end of its lease        mine:<owner>     what an owner runs
--   alone        owner -> the suspect that it runs               counters         seq, token, ended, event
--   ended, dead  what has ended and dead letters, oldest first   events           a stream of what has happened
--   op:<number>  the answer that a call got, should it ask again because that was lost
--
-- Moments are seconds since 1970. Numbers leave as text: a reply would cut off what is behind the point.

local P, NOW, OWNER, RULES, NEWS

local TERMINAL = { completed = true, failed = true, cancelled = true, timeout = true }
local DEADLY = { failed = true, timeout = true }
local ALONE_FROM = 2
local REMEMBER = 60

local function text(number)
  return string.format('%.17g', number)
end

local function call(command, key, ...)
  return redis.call(command, P .. key, ...)
end

local function fields(id, ...)
  return call('HMGET', 't:' .. id, ...)
end

local function field(id, name)
  return call('HGET', 't:' .. id, name)
end

local function count(name)
  return call('HINCRBY', 'counters', name, 1)
end

local function refuse(code, message)
  error({ refused = { code, message } })
end

-- States

local function become(id, status)
  local was, seq = unpack(fields(id, 'status', 'seq'))
  call('ZREM', was, id)
  call('ZADD', status, seq, id)
  call('HSET', 't:' .. id, 'status', status)
  NEWS.changed = true
end

local function place(id)
  local seq, heavy, crashes = unpack(fields(id, 'seq', 'heavy', 'crashes'))
  local queue = 'ready'
  if tonumber(crashes) >= ALONE_FROM then
    queue = 'suspects'
  elseif heavy == '1' then
    queue = 'heavy'
  end
  return queue, string.format('%016d:%s', seq, id)
end

local function make_ready(id)
  local queue, member = place(id)
  call('HSET', 't:' .. id, 'ready_at', text(NOW))
  call('ZADD', queue, text(NOW + field(id, 'priority') * RULES.ageing), member)
  NEWS.ready = true
end

local function left_running(id)
  local owner = field(id, 'owner')
  call('ZREM', 'leases', id)
  call('SREM', 'mine:' .. owner, id)
  if call('HGET', 'alone', owner) == id then
    call('HDEL', 'alone', owner)
  end
end

local function step_back(id)
  left_running(id)
  become(id, 'pending')
end

local function revoke(id)
  local token, owner = unpack(fields(id, 'token', 'owner'))
  table.insert(NEWS.revoked, { id, token, owner })
  call('HSET', 't:' .. id, 'token', count('token'))
end

-- Ends

local function forget(id)
  local status, key = unpack(fields(id, 'status', 'key'))
  call('DEL', 't:' .. id)
  call('ZREM', 'all', id)
  call('ZREM', status, id)
  if key then
    call('HDEL', 'keys', key)
  end
end

local function keep_last(name)
  while call('ZCARD', name) > RULES.keep do
    forget(call('ZPOPMIN', name)[1])
  end
end

local function close(id, status, reason, result, took)
  local was = field(id, 'status')
  if was == 'running' then
    left_running(id)
  else
    local queue, member = place(id)
    call('ZREM', queue, member)
    call('ZREM', 'paused', id)
  end
  become(id, status)
  call('ZREM', 'expiry', id)
  call('HSET', 't:' .. id, 'completed_at', text(NOW), 'execution_time', took or '0')
  if reason then
    call('HSET', 't:' .. id, 'error', reason)
  else
    call('HDEL', 't:' .. id, 'error')
  end
  if result then
    call('HSET', 't:' .. id, 'result', result)
  end
  for _, parent in ipairs(call('SMEMBERS', 'deps:' .. id)) do
    call('ZREM', 'kids:' .. parent, id)
  end
  call('DEL', 'deps:' .. id)
  table.insert(NEWS.ended, id)
  call('ZADD', DEADLY[status] and 'dead' or 'ended', count('ended'), id)
end

local function take_kids(id)
  local kids = call('ZRANGE', 'kids:' .. id, 0, -1)
  call('DEL', 'kids:' .. id)
  return kids
end

-- Ends a task and all that its end concerns; gives the ids of those that ended.
local function finish(id, status, reason, result, took)
  local all = { id }
  close(id, status, reason, result, took)
  if status == 'completed' then
    for _, kid in ipairs(take_kids(id)) do
      call('SREM', 'deps:' .. kid, id)
      if call('SCARD', 'deps:' .. kid) == 0 then
        make_ready(kid)
      end
    end
    return all
  end
  local consequence = 'depends on ' .. id .. ', which ended ' .. status
  local nearest = 1
  while all[nearest] do
    for _, kid in ipairs(take_kids(all[nearest])) do
      if not TERMINAL[field(kid, 'status')] then
        close(kid, 'cancelled', consequence)
        table.insert(all, kid)
      end
    end
    nearest = nearest + 1
  end
  return all
end

-- Ways in

local function twin_of(task, keys)
  if not task.key then
    return nil
  end
  local twin = call('HGET', 'keys', task.key)
  local work = twin and field(twin, 'work')
  if not twin and keys[task.key] then
    twin, work = keys[task.key].id, keys[task.key].work
  end
  if not twin then
    keys[task.key] = task
    return nil
  end
  if work ~= task.work then
    refuse('duplicate_task', "the idempotency key '" .. task.key .. "' belongs to other work, that of task " .. twin)
  end
  return twin
end


-- What each fresh task waits for; `inside` has those that are fresh themselves.
local function resolve(fresh, names)
  local is_fresh, open, inside, doomed = {}, {}, {}, {}
  for _, task in ipairs(fresh) do
    is_fresh[task.id] = true
  end
  for _, task in ipairs(fresh) do
    open[task.id], inside[task.id] = {}, {}
    for _, name in ipairs(task.deps) do
      local parent = names[name] or name
      local status = not is_fresh[parent] and field(parent, 'status')
      if is_fresh[parent] then
        open[task.id][parent], inside[task.id][parent] = true, true
      elseif not status then
        refuse('unknown_dependency', 'task ' .. task.id .. ' depends on ' .. parent .. ', which is not there')
      elseif not TERMINAL[status] then
        open[task.id][parent] = true
      elseif status ~= 'completed' then
        doomed[task.id] = 'depends on ' .. parent .. ', which ended ' .. status
      end
    end
  end
  return open, inside, doomed
end

local function check_cycles(inside)
  local waits, kids, free, left = {}, {}, {}, 0
  for id, parents in pairs(inside) do
    waits[id] = 0
    left = left + 1
    for parent in pairs(parents) do
      waits[id] = waits[id] + 1
      kids[parent] = kids[parent] or {}
      table.insert(kids[parent], id)
    end
    if waits[id] == 0 then
      table.insert(free, id)
    end
  end
  while #free > 0 do
    left = left - 1
    for _, kid in ipairs(kids[table.remove(free)] or {}) do
      waits[kid] = waits[kid] - 1
      if waits[kid] == 0 then
        table.insert(free, kid)
      end
    end
  end
  if left > 0 then
    refuse('dependency_cycle', left .. ' tasks wait for each other')
  end
end

local function check_room(more)
  local waiting = call('ZCARD', 'pending')
  if more > 0 and waiting + more > RULES.capacity then
    refuse('queue_full', waiting .. ' tasks wait and ' .. RULES.capacity .. ' may')
  end
end

local function enter(task, spec, open)
  local id, seq = task.id, count('seq')
  call('HSET', 't:' .. id, 'id', id, 'spec', spec, 'status', 'pending', 'seq', seq, 'priority', task.priority,
    'heavy', task.heavy and 1 or 0, 'max_retries', task.max_retries, 'work', task.work, 'created_at', text(NOW),
    'attempts', 0, 'crashes', 0, 'token', 0)
  call('ZADD', 'all', seq, id)
  call('ZADD', 'pending', seq, id)
  if task.key then
    call('HSET', 't:' .. id, 'key', task.key)
    call('HSET', 'keys', task.key, id)
  end
  if task.expires_at then
    call('ZADD', 'expiry', text(task.expires_at), id)
  end
  for parent in pairs(open) do
    call('SADD', 'deps:' .. id, parent)
    call('ZADD', 'kids:' .. parent, seq, id)
  end
  NEWS.changed = true
  if not next(open) then
    make_ready(id)
  end
end

-- The first argument tells about the tasks, the others are their specs: a call may have more of them than can be unpacked.
local function add(arg)
  local ids, names, keys, fresh, specs = {}, {}, {}, {}, {}
  for number, task in ipairs(cjson.decode(arg[1])) do
    local twin = twin_of(task, keys)
    if not twin then
      if names[task.id] or call('EXISTS', 't:' .. task.id) == 1 then
        refuse('duplicate_task', 'there is a task ' .. task.id .. ' already')
      end
      table.insert(fresh, task)
      specs[task.id] = arg[number + 1]
    end
    names[task.id] = twin or task.id
    table.insert(ids, names[task.id])
  end
  local open, inside, doomed = resolve(fresh, names)
  check_cycles(inside)
  check_room(#fresh)
  for _, task in ipairs(fresh) do
    enter(task, specs[task.id], open[task.id])
  end
  for _, task in ipairs(fresh) do
    if doomed[task.id] and not TERMINAL[field(task.id, 'status')] then
      finish(task.id, 'cancelled', doomed[task.id])
    end
  end
  return ids
end

-- Attempts

local function head(queue)
  local found = call('ZRANGE', queue, 0, 0, 'WITHSCORES')
  return found[1], tonumber(found[2])
end

local function take(queue, member)
  local id = string.sub(member, 18)
  call('ZREM', queue, member)
  become(id, 'running')
  call('HINCRBY', 't:' .. id, 'attempts', 1)
  call('HSET', 't:' .. id, 'token', count('token'), 'owner', OWNER)
  call('ZADD', 'leases', text(NOW + RULES.lease), id)
  call('SADD', 'mine:' .. OWNER, id)
  local spec, attempts, token, ready_at = unpack(fields(id, 'spec', 'attempts', 'token', 'ready_at'))
  return { id, spec, attempts, token, text(NOW - ready_at) }
end

local function claim(arg)
  local limit, heavy_fits = unpack(arg)
  if call('HEXISTS', 'alone', OWNER) == 1 then
    return {}
  end
  local suspect = head('suspects')
  if suspect then
    if call('SCARD', 'mine:' .. OWNER) > 0 then
      return {}
    end
    call('HSET', 'alone', OWNER, string.sub(suspect, 18))
    NEWS.ready = true
    return { take('suspects', suspect) }
  end
  local taken = {}
  while #taken < tonumber(limit) do
    local light, light_rank = head('ready')
    local heavy, heavy_rank = nil, nil
    if heavy_fits == '1' then
      heavy, heavy_rank = head('heavy')
    end
    if heavy and (not light or heavy_rank < light_rank or (heavy_rank == light_rank and heavy < light)) then
      heavy_fits = '0'
      table.insert(taken, take('heavy', heavy))
    elseif light then
      table.insert(taken, take('ready', light))
    else
      break
    end
  end
  return taken
end

local function hold(id, token)
  local status, held = unpack(fields(id, 'status', 'token'))
  if status ~= 'running' or held ~= token then
    refuse('stale_claim', 'the claim ' .. token .. ' of task ' .. id .. ' holds no more')
  end
end

local function settle(arg)
  local id, token, status, took, reason, result = unpack(arg)
  local was, held = unpack(fields(id, 'status', 'token'))
  if TERMINAL[was] and held == token then
    return {}
  end
  hold(id, token)
  return finish(id, status, reason ~= '' and reason or nil, result, took)
end

local function retry(arg)
  local id, token, delay, reason = unpack(arg)
  hold(id, token)
  call('HSET', 't:' .. id, 'error', reason, 'crashes', 0)
  step_back(id)
  call('ZADD', 'paused', text(NOW + delay), id)
  return {}
end

local function release(arg)
  local id, token = unpack(arg)
  hold(id, token)
  call('HINCRBY', 't:' .. id, 'attempts', -1)
  step_back(id)
  make_ready(id)
  return {}
end

local function cancel(arg)
  local id, reason = unpack(arg)
  local status = field(id, 'status')
  if not status or TERMINAL[status] then
    return {}
  end
  if status == 'running' then
    revoke(id)
  end
  return finish(id, 'cancelled', reason)
end

-- What time brings

local function lose(id)
  local attempts, max_retries, token, owner = unpack(fields(id, 'attempts', 'max_retries', 'token', 'owner'))
  local reason = 'the process died during attempt ' .. attempts
  table.insert(NEWS.revoked, { id, token, owner })
  call('HINCRBY', 't:' .. id, 'crashes', 1)
  if tonumber(attempts) > tonumber(max_retries) then
    call('HSET', 't:' .. id, 'token', count('token'))
    finish(id, 'failed', reason)
  else
    call('HSET', 't:' .. id, 'error', reason)
    step_back(id)
    make_ready(id)
  end
end

local function due(queue)
  return call('ZRANGE', queue, '-inf', text(NOW), 'BYSCORE')
end

local function tick()
  local mine = {}
  for _, id in ipairs(call('SMEMBERS', 'mine:' .. OWNER)) do
    call('ZADD', 'leases', 'XX', text(NOW + RULES.lease), id)
    table.insert(mine, { id, field(id, 'token') })
  end
  for _, id in ipairs(due('paused')) do
    call('ZREM', 'paused', id)
    make_ready(id)
    NEWS.changed = true
  end
  for _, id in ipairs(due('expiry')) do
    if field(id, 'status') == 'running' then
      revoke(id)
    end
    finish(id, 'timeout', 'expired before it was done')
  end
  for _, id in ipairs(due('leases')) do
    lose(id)
  end
  return mine
end

-- Dead letters

local function bury(id)
  call('ZREM', 'dead', id)
  call('ZADD', 'ended', count('ended'), id)
  NEWS.changed = true
end

local function replay(arg)
  local id, task, spec = unpack(arg)
  if not call('ZSCORE', 'dead', id) then
    refuse('unknown_task', 'there is no dead letter ' .. id)
  end
  local ids = add({ task, spec })
  bury(id)
  return ids
end

local function clear()
  local letters = call('ZRANGE', 'dead', 0, -1)
  for _, id in ipairs(letters) do
    bury(id)
  end
  return { tostring(#letters) }
end

-- Calls

local STEPS = {
  add = add, claim = claim, settle = settle, retry = retry, release = release,
  cancel = cancel, tick = tick, replay = replay, clear = clear,
}

local function next_due()
  local first
  for _, queue in ipairs({ 'paused', 'expiry', 'leases' }) do
    local _, moment = head(queue)
    if moment and (not first or moment < first) then
      first = moment
    end
  end
  return first and text(first) or ''
end

local function ended_tasks()
  local all = {}
  for _, id in ipairs(NEWS.ended) do
    table.insert(all, fields(id, 'id', 'spec', 'status', 'result', 'error', 'execution_time', 'created_at', 'completed_at',
      'attempts'))
  end
  return all
end

local function publish(counts, due_at)
  local entry = { 'number', count('event'), 'owner', OWNER, 'ready', NEWS.ready and '1' or '0',
    'pending', counts[1], 'running', counts[2], 'dead', counts[3], 'now', text(NOW), 'due', due_at }
  for name, news in pairs({ ended = NEWS.ended, revoked = NEWS.revoked }) do
    if #news > 0 then
      table.insert(entry, name)
      table.insert(entry, cjson.encode(news))
    end
  end
  call('XADD', 'events', 'MAXLEN', '~', 1000, '*', unpack(entry))
end

local function run(keys, args)
  P = keys[1]
  local now, rules, number, name = args[2], args[3], args[4], args[5]
  if now == '' then
    local time = redis.call('TIME')
    now = time[1] + time[2] / 1e6
  end
  NOW, OWNER, RULES, NEWS = tonumber(now), args[1], cjson.decode(rules), { ended = {}, revoked = {} }

  local answered = call('GET', 'op:' .. number)
  if answered then
    return cjson.decode(answered)
  end
  local arg = {}
  for place = 6, #args do
    arg[place - 5] = args[place]
  end
  local is_done, result = pcall(STEPS[name], arg)
  if not is_done then
    return type(result) == 'table' and result.refused or error(result)
  end
  local ended = ended_tasks()
  keep_last('ended')
  keep_last('dead')
  local counts = { call('ZCARD', 'pending'), call('ZCARD', 'running'), call('ZCARD', 'dead') }
  local due_at = next_due()
  local answer = { 'ok', NEWS.changed and '1' or '0', text(NOW), due_at, counts, ended, NEWS.revoked, result }
  if NEWS.changed then
    publish(counts, due_at)
    call('SET', 'op:' .. number, cjson.encode(answer), 'EX', REMEMBER)
  end
  return answer
end

redis.register_function('LIBRARY', run)
