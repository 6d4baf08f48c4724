#!lua name=LIBRARY

-- The steps that the tasks of a store can take, each atomic: what `mynah_tasks.book` is for one process, for several.
--
--   t:<id>       a task: its spec, and how far it is
--   kids:<id>    who waits for it, by order of acceptance        deps:<id>   whom it waits for
--   all          every task by order of acceptance               keys        idempotency key -> id
--   <status>     the tasks in that state, likewise
--   ready, heavy, suspects   what can run, by rank               paused, expiry   by the moment that ends it
--   leases       what is running, by the end of its lease        mine:<owner>     what an owner runs
--   alone        owner -> the suspect that it runs               counters         seq, token, ended, event, and when
--                                                                the clock was looked at and how far it is ahead of NOW
--   ended, dead  what has ended and dead letters, oldest first   events           a stream of what has happened
--   op:<owner>   the last answers that it got, by place, should it ask again because one was lost
--
-- Moments are seconds, and leave as text: in an answer, a number would be cut. NOW goes on evenly, whatever the clock is
-- set to; WALL is what the clock says, since 1970, for what people see and for the end of a task's life. ALONE_FROM,
-- SOLITUDE and BATCH are put in before this is loaded.

local P, NOW, WALL, OWNER, RULES, NEWS

local TERMINAL = { completed = true, failed = true, cancelled = true, timeout = true }
local DEADLY = { failed = true, timeout = true }
local FACTS = { 'status', 'seq', 'priority', 'heavy', 'max_retries', 'attempts', 'crashes', 'token', 'owner',
  'ready_at', 'error', 'expires', 'waits' }
local REMEMBER = 60
local LAST = BATCH

local function text(number)
  return string.format('%.17g', number)
end

local function call(command, key, ...)
  return redis.call(command, P .. key, ...)
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

local function load(id)
  local values = call('HMGET', 't:' .. id, unpack(FACTS))
  local task = { id = id }
  for place, name in ipairs(FACTS) do
    task[name] = values[place]
  end
  return task.status and task
end

local function save(task, ...)
  call('HSET', 't:' .. task.id, ...)
end

-- States

local function become(task, status, ...)
  call('ZREM', task.status, task.id)
  call('ZADD', status, task.seq, task.id)
  save(task, 'status', status, ...)
  task.status = status
  NEWS.changed = true
end

local function place(task)
  local queue = 'ready'
  if tonumber(task.crashes) >= ALONE_FROM then
    queue = 'suspects'
  elseif task.heavy == '1' then
    queue = 'heavy'
  end
  return queue, string.format('%016d:%s', task.seq, task.id)
end

local function make_ready(task)
  local queue, member = place(task)
  save(task, 'ready_at', text(NOW))
  call('ZADD', queue, text(NOW + task.priority * RULES.ageing), member)
  NEWS.changed, NEWS.ready = true, true
end

local function left_running(task)
  call('ZREM', 'leases', task.id)
  call('SREM', 'mine:' .. task.owner, task.id)
  if call('HGET', 'alone', task.owner) == task.id then
    call('HDEL', 'alone', task.owner)
  end
end

local function step_back(task, ...)
  left_running(task)
  become(task, 'pending', ...)
end

-- Takes a task from who runs it, so that an outcome will come too late.
local function revoke(task)
  table.insert(NEWS.revoked, { task.id, task.token, task.owner })
  task.token = count('token')
  save(task, 'token', task.token)
end

-- Ends

local function forget(id)
  local key = field(id, 'key')
  call('ZREM', field(id, 'status'), id)
  call('ZREM', 'all', id)
  call('DEL', 't:' .. id)
  if key then
    call('HDEL', 'keys', key)
  end
end

local function keep_last(name)
  while call('ZCARD', name) > RULES.keep do
    forget(call('ZPOPMIN', name)[1])
  end
end

local function shelve(id, name, number)
  call('ZADD', name, number, id)
  NEWS.changed, NEWS.is_shelf_fuller = true, true
end

local function close(task, status, reason, result, took)
  if task.status == 'running' then
    left_running(task)
  else
    local queue, member = place(task)
    call('ZREM', queue, member)
    call('ZREM', 'paused', task.id)
  end
  local number = count('ended')
  local end_ = { 'completed_at', text(WALL), 'execution_time', took or '0', 'ended', number }
  if result then
    table.insert(end_, 'result')
    table.insert(end_, result)
  end
  if reason then
    table.insert(end_, 'error')
    table.insert(end_, reason)
  elseif task.error then
    call('HDEL', 't:' .. task.id, 'error')
  end
  become(task, status, unpack(end_))
  if task.expires then
    call('ZREM', 'expiry', task.id)
  end
  if task.waits then
    for _, parent in ipairs(call('SMEMBERS', 'deps:' .. task.id)) do
      call('ZREM', 'kids:' .. parent, task.id)
    end
    call('DEL', 'deps:' .. task.id)
  end
  table.insert(NEWS.ended, task.id)
  shelve(task.id, DEADLY[status] and 'dead' or 'ended', number)
end

local function take_kids(id)
  local kids = call('ZRANGE', 'kids:' .. id, 0, -1)
  if #kids > 0 then
    call('DEL', 'kids:' .. id)
  end
  return kids
end

-- Ends a task and all that its end concerns; gives the ids of those that ended.
local function finish(task, status, reason, result, took)
  local all = { task.id }
  close(task, status, reason, result, took)
  if status == 'completed' then
    for _, kid in ipairs(take_kids(task.id)) do
      call('SREM', 'deps:' .. kid, task.id)
      if call('SCARD', 'deps:' .. kid) == 0 then
        make_ready(load(kid))
      end
    end
    return all
  end
  local consequence = 'depends on ' .. task.id .. ', which ended ' .. status
  local nearest = 1
  while all[nearest] do
    for _, kid in ipairs(take_kids(all[nearest])) do
      local child = load(kid)
      if not TERMINAL[child.status] then
        close(child, 'cancelled', consequence)
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
  task.status, task.seq, task.crashes, task.heavy = 'pending', count('seq'), 0, task.heavy and '1' or '0'
  save(task, 'id', task.id, 'spec', spec, 'status', task.status, 'seq', task.seq, 'priority', task.priority,
    'heavy', task.heavy, 'max_retries', task.max_retries, 'work', task.work, 'created_at', text(WALL),
    'attempts', 0, 'crashes', 0, 'token', 0)
  call('ZADD', 'all', task.seq, task.id)
  call('ZADD', 'pending', task.seq, task.id)
  if task.key then
    save(task, 'key', task.key)
    call('HSET', 'keys', task.key, task.id)
  end
  if task.expires_at then
    save(task, 'expires', 1)
    call('ZADD', 'expiry', text(task.expires_at), task.id)
  end
  if not next(open) then
    make_ready(task)
    return
  end
  save(task, 'waits', 1)
  for parent in pairs(open) do
    call('SADD', 'deps:' .. task.id, parent)
    call('ZADD', 'kids:' .. parent, task.seq, task.id)
  end
  NEWS.changed = true
end

-- The first argument tells about the tasks, the others are their specs, more of them than can be unpacked.
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
    local entered = doomed[task.id] and load(task.id)
    if entered and not TERMINAL[entered.status] then
      finish(entered, 'cancelled', doomed[task.id])
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
  local task = load(string.sub(member, 18))
  local attempts, token = task.attempts + 1, count('token')
  call('ZREM', queue, member)
  become(task, 'running', 'attempts', attempts, 'token', token, 'owner', OWNER)
  call('ZADD', 'leases', text(NOW + RULES.lease), task.id)
  call('SADD', 'mine:' .. OWNER, task.id)
  table.insert(NEWS.claimed, { task.id, attempts, token, text(NOW - task.ready_at) })
end

local function claim(arg)
  local limit, heavy_fits = unpack(arg)
  local alone = call('HGET', 'alone', OWNER)
  if alone and NOW < field(alone, 'alone_from') + SOLITUDE then
    return {}
  end
  local suspect = head('suspects')
  if suspect then
    local id = string.sub(suspect, 18)
    if call('SCARD', 'mine:' .. OWNER) > 0 and NOW < field(id, 'ready_at') + SOLITUDE then
      return {}
    end
    call('HSET', 'alone', OWNER, id)
    call('HSET', 't:' .. id, 'alone_from', text(NOW))
    NEWS.ready = true
    take('suspects', suspect)
    return {}
  end
  while #NEWS.claimed < tonumber(limit) do
    local light, light_rank = head('ready')
    local heavy, heavy_rank
    if heavy_fits == '1' then
      heavy, heavy_rank = head('heavy')
    end
    if heavy and (not light or heavy_rank < light_rank or (heavy_rank == light_rank and heavy < light)) then
      heavy_fits = '0'
      take('heavy', heavy)
    elseif light then
      take('ready', light)
    else
      break
    end
  end
  return {}
end

local function held(id, token)
  local task = load(id)
  if not task or task.status ~= 'running' or task.token ~= token then
    refuse('stale_claim', 'the claim ' .. token .. ' of task ' .. id .. ' holds no more')
  end
  return task
end

local function settle(arg)
  local id, token, status, took, reason, result = unpack(arg)
  if TERMINAL[field(id, 'status')] and field(id, 'token') == token then
    return {}
  end
  return finish(held(id, token), status, reason ~= '' and reason or nil, result, took)
end

local function retry(arg)
  local id, token, delay, reason = unpack(arg)
  step_back(held(id, token), 'error', reason, 'crashes', 0)
  call('ZADD', 'paused', text(NOW + delay), id)
  return {}
end

local function release(arg)
  local id, token, delay = unpack(arg)
  local task = held(id, token)
  step_back(task, 'attempts', task.attempts - 1)
  if delay and tonumber(delay) > 0 then
    call('ZADD', 'paused', text(NOW + delay), id)
  else
    make_ready(task)
  end
  return {}
end

local function cancel(arg)
  local id, reason = unpack(arg)
  local task = load(id)
  if not task or TERMINAL[task.status] then
    return {}
  end
  if task.status == 'running' then
    revoke(task)
  end
  return finish(task, 'cancelled', reason)
end

-- What time brings

local function lose(task)
  local reason = 'the process died during attempt ' .. task.attempts
  revoke(task)
  if tonumber(task.attempts) > tonumber(task.max_retries) then
    finish(task, 'failed', reason)
  else
    task.crashes = task.crashes + 1
    step_back(task, 'error', reason, 'crashes', task.crashes)
    make_ready(task)
  end
end

local function due(queue, now)
  return call('ZRANGE', queue, '-inf', text(now), 'BYSCORE')
end

local function tick()
  local mine = {}
  for _, id in ipairs(call('SMEMBERS', 'mine:' .. OWNER)) do
    call('ZADD', 'leases', text(NOW + RULES.lease), id)
    table.insert(mine, { id, field(id, 'token') })
  end
  for _, id in ipairs(due('paused', NOW)) do
    call('ZREM', 'paused', id)
    make_ready(load(id))
  end
  for _, id in ipairs(due('expiry', WALL)) do
    local task = load(id)
    if task.status == 'running' then
      revoke(task)
    end
    finish(task, 'timeout', 'expired before it was done')
  end
  for _, id in ipairs(due('leases', NOW)) do
    lose(load(id))
  end
  return mine
end

-- Dead letters

local function bury(id)
  call('ZREM', 'dead', id)
  shelve(id, 'ended', count('ended'))
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
  return { #letters }
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
    if moment and queue == 'expiry' then
      moment = moment - WALL + NOW
    end
    if moment and (not first or moment < first) then
      first = moment
    end
  end
  return first and text(first) or ''
end

-- An answer with the tasks that it is about: they are not remembered with it.
local function in_full(answer)
  local ended, claims = {}, {}
  for _, id in ipairs(answer.ended) do
    local task = call('HMGET', 't:' .. id, 'id', 'spec', 'status', 'result', 'error', 'execution_time',
      'created_at', 'completed_at', 'attempts')
    if task[1] then
      table.insert(ended, task)
    end
  end
  for _, claim_ in ipairs(answer.claims) do
    local id, attempts, token, waited = unpack(claim_)
    local spec, crashes = unpack(call('HMGET', 't:' .. id, 'spec', 'crashes'))
    if spec then
      table.insert(claims, { id, spec, attempts, token, waited, crashes })
    end
  end
  local full = {}
  for name, value in pairs(answer) do
    full[name] = value
  end
  full.ended, full.claims = ended, claims
  return full
end

local function recall(number)
  local found, mark = call('HGET', 'op:' .. OWNER, number % LAST), number .. ' '
  return found and string.sub(found, 1, #mark) == mark and cjson.decode(string.sub(found, #mark + 1))
end

local function remember(number, answer)
  call('HSET', 'op:' .. OWNER, number % LAST, number .. ' ' .. cjson.encode(answer))
  call('EXPIRE', 'op:' .. OWNER, REMEMBER)
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

-- Who lives calls more often than twice in a lease: a longer time between two calls, or one below nothing, has not passed
-- for anybody, be it that the clock was set or that nobody was there.
local function evenly(clock)
  local last, ahead = unpack(call('HMGET', 'counters', 'clock', 'ahead'))
  local passed = clock - (last or clock)
  local counts = math.min(math.max(passed, 0), RULES.lease / 2)
  ahead = (ahead or 0) + passed - counts
  if not last or passed ~= counts or passed > RULES.lease / 10 then
    call('HSET', 'counters', 'clock', text(clock), 'ahead', text(ahead))
  end
  return clock - ahead
end

local function run(keys, args)
  local now, number, name
  P, OWNER, now, number, name = keys[1], args[1], args[2], tonumber(args[3]), args[4]
  RULES = { capacity = tonumber(args[5]), ageing = tonumber(args[6]), lease = tonumber(args[7]), keep = tonumber(args[8]) }
  NEWS = { ended = {}, revoked = {}, claimed = {} }
  if now == '' then
    local time = redis.call('TIME')
    WALL = time[1] + time[2] / 1e6
    NOW = evenly(WALL)
  else
    WALL, NOW = tonumber(now), tonumber(now)
  end

  local answered = recall(number)
  if answered then
    return cjson.encode(in_full(answered))
  end
  local arg = {}
  for place_ = 9, #args do
    arg[place_ - 8] = args[place_]
  end
  local is_done, result = pcall(STEPS[name], arg)
  if not is_done then
    return type(result) == 'table' and cjson.encode(result) or error(result)
  end
  local answer = { changed = NEWS.changed or false, now = text(NOW), ended = NEWS.ended, claims = NEWS.claimed,
    revoked = NEWS.revoked, result = result }
  local full = in_full(answer)
  if NEWS.is_shelf_fuller then
    keep_last('ended')
    keep_last('dead')
  end
  answer.counts = { call('ZCARD', 'pending'), call('ZCARD', 'running'), call('ZCARD', 'dead') }
  answer.due = next_due()
  full.counts, full.due = answer.counts, answer.due
  if NEWS.changed then
    publish(answer.counts, answer.due)
    remember(number, answer)
  end
  return cjson.encode(full)
end

redis.register_function('LIBRARY', run)
