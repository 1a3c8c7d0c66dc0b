import type { durably } from './durably'
import { ProgressBar, Status } from './parts'

type Runs = ReturnType<typeof durably.useRuns>

/** A page of runs, the newest first; the first page is live. */
export function RunList({ list, runId }: { list: Runs; runId: string | null }) {
  return (
    <section className="runs" aria-label="Runs">
      <h2>Runs</h2>
      {list.error !== null && <p className="message error">{list.error}</p>}
      <table>
        <thead>
          <tr>
            <th>Job</th>
            <th>Status</th>
            <th>Progress</th>
            <th>Created</th>
          </tr>
        </thead>
        <tbody>
          {list.runs.map((run) => (
            <tr key={run.id} aria-current={run.id === runId || undefined} data-run={run.id}>
              <td>
                <a href={`#run=${run.id}`}>{run.jobName}</a>
              </td>
              <td>
                <Status status={run.status} />
              </td>
              <td>
                <ProgressBar progress={run.progress} />
              </td>
              <td>
                <time dateTime={run.createdAt}>{shortTime(run.createdAt)}</time>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {(list.page > 0 || list.hasMore) && (
        <nav className="pages" aria-label="Pages">
          <button disabled={list.page === 0} onClick={list.prevPage}>
            Newer
          </button>
          <span className="quiet">Page {list.page + 1}</span>
          <button disabled={!list.hasMore} onClick={list.nextPage}>
            Older
          </button>
        </nav>
      )}
    </section>
  )
}

function shortTime(iso: string): string {
  return new Date(iso).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'medium' })
}
