import type { LogEntry } from '@coji/durably-react'
import { useEffect, useState } from 'react'
import { api } from './durably'

/**
 * A run's whole log. The stream brings only what is written while the page listens; what was
 * written before, and in the moment of connecting, is read from the server.
 */
export function useLog(runId: string, live: LogEntry[], isTerminal: boolean): LogEntry[] {
  const [stored, setStored] = useState<LogEntry[]>([])
  useEffect(() => {
    const leave = new AbortController()
    fetch(`${api}/logs?runId=${encodeURIComponent(runId)}`, { signal: leave.signal })
      .then((response) => (response.ok ? response.json() : []))
      .then(setStored)
      .catch(() => {})
    return () => leave.abort()
  }, [runId, isTerminal])
  return joined(stored, live)
}

/** Both, one after the other, but what ends the first and begins the second only once. */
function joined(stored: LogEntry[], live: LogEntry[]): LogEntry[] {
  const longest = Math.min(stored.length, live.length)
  for (let count = longest; count > 0; count--) {
    const end = stored.slice(-count)
    if (end.every((entry, index) => isSame(entry, live[index]!))) {
      return [...stored, ...live.slice(count)]
    }
  }
  return [...stored, ...live]
}

function isSame(one: LogEntry, other: LogEntry): boolean {
  return (
    one.level === other.level &&
    one.message === other.message &&
    JSON.stringify(one.data) === JSON.stringify(other.data)
  )
}
