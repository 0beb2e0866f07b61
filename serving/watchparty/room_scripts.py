"""The scripts that change rooms in the store. Each one makes a change and publishes it in the same step."""

from typing import Final

CHANGE_SCRIPT: Final = """
local current = redis.call('HGET', KEYS[1], ARGV[1])
if current ~= ARGV[2] then return current end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if ARGV[4] ~= '' then redis.call('PUBLISH', KEYS[1], ARGV[4]) end
return 1
"""
"""Sets a field of a room if its value is still the given one; else returns the present one."""

SAY_SCRIPT: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local known = redis.call('HGET', KEYS[3], ARGV[1])
if known then return known end
local seq = redis.call('HINCRBY', KEYS[1], 'chat_seq', 1)
local entry = '{"seq":' .. seq .. ',' .. ARGV[2] .. '}'
redis.call('RPUSH', KEYS[2], entry)
redis.call('HSET', KEYS[3], ARGV[1], entry)
while redis.call('LLEN', KEYS[2]) > tonumber(ARGV[3]) do
    local oldest = cjson.decode(redis.call('LPOP', KEYS[2]))
    redis.call('HDEL', KEYS[3], oldest.member .. ' ' .. oldest.id)
end
redis.call('PUBLISH', KEYS[1], '{"message":{"type":"chat","entry":' .. entry .. '}}')
return 1
"""
"""Adds to what was said, with the next number; what was said before with the same id is returned.

What is trimmed is trimmed with its id, the oldest first: an id is known as long as its entry.
"""

JOIN_SCRIPT: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 'gone' end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0
    and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[4]) then return 'full' end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('PUBLISH', KEYS[1], ARGV[3])
return 'joined'
"""

LEAVE_SCRIPT: Final = """
local member = redis.call('HGET', KEYS[2], ARGV[1])
if not member or cjson.decode(member).socket ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('PUBLISH', KEYS[1], ARGV[3])
return 1
"""
"""Takes a member out, unless they have another socket by now."""

MARK_SCRIPT: Final = """
local member = redis.call('HGET', KEYS[1], ARGV[1])
if not member or cjson.decode(member).socket ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""
"""Replaces a member who is still there with the same socket: who has left stays away."""
