import { useEffect, useState } from 'react'
import { durably } from './durably'
import { ImportForm } from './ImportForm'
import { RunList } from './RunList'
import { RunPanel } from './RunPanel'

/**
 * A form, the list of runs, and one run in full: the one that was clicked or triggered, else the
 * newest. So the page never needs more than two event streams, of the six per host that browsers
 * open for all their tabs together.
 */
export function App() {
  const [chosen, choose] = useChosenRun()
  const list = durably.useRuns({ pageSize: 8 })
  const runId = chosen ?? list.runs[0]?.id ?? null
  return (
    <>
      <section className="top">
        <ImportForm onTriggered={choose} />
        {runId === null ? (
          <p className="panel quiet">{list.isLoading ? 'Loading …' : 'No runs so far.'}</p>
        ) : (
          <RunPanel
            key={runId}
            runId={runId}
            listed={list.runs.find((run) => run.id === runId)}
            onChoose={choose}
            onChanged={list.refresh}
          />
        )}
      </section>
      <RunList list={list} runId={runId} />
    </>
  )
}

/** The run in the address of the page (`#run=ID`), so that a reload shows the same one. */
function useChosenRun(): [string | null, (runId: string | null) => void] {
  const [hash, setHash] = useState(window.location.hash)
  useEffect(() => {
    const read = () => setHash(window.location.hash)
    window.addEventListener('hashchange', read)
    return () => window.removeEventListener('hashchange', read)
  }, [])
  const choose = (runId: string | null) => {
    window.location.hash = runId === null ? '' : `run=${runId}`
  }
  return [hash.startsWith('#run=') ? hash.slice('#run='.length) : null, choose]
}
