import { useJobRun, type ClientRun, type StepRecord } from '@coji/durably-react'
import { useEffect, useState } from 'react'
import { api, durably } from './durably'
import { useLog } from './log'
import { ProgressBar, Status } from './parts'

interface ActionsProps {
  runId: string
  onChoose: (runId: string | null) => void
  onChanged: () => Promise<void>
}

interface Props extends ActionsProps {
  /** The run as it is in the list, if it is there. */
  listed: ClientRun | undefined
}

/** One run in full: live while it is active, as it ended afterwards. */
export function RunPanel({ runId, listed, onChoose, onChanged }: Props) {
  const live = useJobRun({ api, runId })
  const { run, steps, isGone } = useStored(runId, live.status)
  const log = useLog(runId, live.logs, live.isTerminal)
  const status = live.status ?? 'pending'
  if (isGone) {
    return <p className="panel quiet">This run was deleted.</p>
  }
  return (
    <article className="panel run" aria-label="Run">
      <h2>
        {run?.jobName ?? listed?.jobName ?? '…'} <Status status={status} />
      </h2>
      <p className="quiet id">{runId}</p>
      <ProgressBar progress={live.progress ?? run?.progress ?? null} />
      {live.error !== null && <p className="message error">{live.error}</p>}
      <Actions runId={runId} isActive={live.isActive} onChoose={onChoose} onChanged={onChanged} />
      <details>
        <summary>Input and output</summary>
        <pre>{JSON.stringify(run?.input, null, 2)}</pre>
        {live.isCompleted && <pre>{JSON.stringify(live.output, null, 2)}</pre>}
      </details>
      <details>
        <summary>
          Steps <span className="quiet">{live.isTerminal ? steps.length : listed?.currentStepIndex}</span>
        </summary>
        <ol className="steps">
          {steps.map((step, number) => (
            <li key={number}>
              {step.name} <Status status={step.status} />
            </li>
          ))}
        </ol>
      </details>
      <h3>Log</h3>
      <ol className="log" role="log">
        {log.map((entry) => (
          <li key={entry.id} className={entry.level}>
            <time dateTime={entry.timestamp}>{new Date(entry.timestamp).toLocaleTimeString()}</time>{' '}
            {entry.message}{' '}
            {entry.data != null && <span className="quiet">{JSON.stringify(entry.data)}</span>}
          </li>
        ))}
      </ol>
    </article>
  )
}

function Actions({
  runId,
  isActive,
  onChoose,
  onChanged,
}: ActionsProps & { isActive: boolean }) {
  const { cancel, retrigger, deleteRun } = durably.useRunActions()
  const [error, setError] = useState<string | null>(null)

  const act = (action: () => Promise<void>) => () => {
    setError(null)
    action().catch((refused: Error) => setError(refused.message))
  }
  const remove = async () => {
    await deleteRun(runId)
    onChoose(null)
    await onChanged() // pages but the first hear of nothing
  }
  return (
    <div className="actions">
      {isActive ? (
        <button onClick={act(() => cancel(runId))}>Cancel</button>
      ) : (
        <>
          <button onClick={act(async () => onChoose(await retrigger(runId)))}>Retrigger</button>
          <button className="quiet" onClick={act(remove)}>
            Delete
          </button>
        </>
      )}
      {error !== null && <span role="alert">{error}</span>}
    </div>
  )
}

/** What the stream does not tell, read again whenever the run changes its status. */
function useStored(runId: string, status: string | null) {
  const { getRun, getSteps } = durably.useRunActions()
  const [run, setRun] = useState<ClientRun | null>()
  const [steps, setSteps] = useState<StepRecord[]>([])
  useEffect(() => {
    let isCurrent = true
    async function read() {
      const found = await getRun(runId)
      const done = found === null ? [] : await getSteps(runId)
      if (isCurrent) {
        setRun(found)
        setSteps(done)
      }
    }
    read().catch(() => {}) // deleted meanwhile: its last event says so
    return () => {
      isCurrent = false
    }
  }, [runId, status, getRun, getSteps])
  return { run, steps, isGone: run === null }
}
