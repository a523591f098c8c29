/* The user's jobs of one kind under the form that submits them: those that run, and the last that ended meanwhile. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const ENDED = 3; // jobs that ended, listed under those that run

  /**
   * Make such a list.
   * @param {string} place  id of the element that it is drawn in, which may come and go
   * @param {string} kind   of its jobs
   * @param {function(Object): ?Element} [resultOf]  makes the button that opens what came of a job
   */
  iscan.jobList = (place, kind, resultOf = () => null) => {
    const seen = new Set(); // jobs that this page saw running

    function row(job) {
      const { make, words, iconButton } = iscan.filterParts;
      const { jobs } = iscan;
      const own = make("div", { class: "predict-job", "data-job": job.id }, words(job.name, "predict-job-name"));
      if (job.active) {
        const cancel = iconButton("x-circle", `Cancel ${job.name}`, () => jobs.cancel(job.id));
        cancel.disabled = job.cancelling;
        const text = job.state === "Queued" || job.cancelling ? jobs.stepText(job) : `${job.progress} % \u00b7 ${jobs.stepText(job) || "starting"}`;
        own.append(make("progress", { max: 100, value: job.progress, "aria-label": `Progress of ${job.name}` }), make("span", { class: "muted numbers predict-job-says", textContent: text }), cancel);
        return own;
      }
      const text = job.state === "Finished" ? job.message : [job.state, job.message].filter(Boolean).join(": ");
      own.append(make("span", { class: `predict-job-says ${job.state === "Failed" ? "field-error" : "muted"}`, title: text, textContent: text }));
      const opens = job.result && job.state === "Finished" ? resultOf(job) : null;
      if (opens) own.append(opens);
      return own;
    }

    return {
      /** Whether this page saw a job running. */
      saw: (id) => seen.has(id),
      /** Note a job that was submitted here. */
      add: (id) => seen.add(id),
      show() {
        const box = document.getElementById(place);
        if (!box) return;
        const own = iscan.jobs.all().filter((job) => job.mine && job.kind === kind);
        own.filter((job) => job.active).forEach((job) => seen.add(job.id));
        const listed = [...own.filter((job) => job.active).reverse(), ...own.filter((job) => !job.active && seen.has(job.id)).slice(0, ENDED)];
        const focused = box.contains(document.activeElement) ? document.activeElement.closest("[data-job]").dataset.job : null;
        box.replaceChildren(...listed.map(row));
        if (focused) box.querySelector(`[data-job="${focused}"] button`)?.focus({ preventScroll: true });
      },
    };
  };
})();
