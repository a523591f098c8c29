/* Import CSV: the drop zone, and the upload with its progress. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const byId = (id) => document.getElementById(id);
  const setProps = (id, props) => window.dash_clientside.set_props(id, props);
  const MOST = 200 * 2 ** 20;
  let upload = null;

  function refuse(sentence) {
    setProps("import-loaded", { data: { error: sentence, at: Date.now() } });
  }

  function busy(part) {
    const box = byId("import-busy");
    box.hidden = part === null;
    if (part !== null) byId("import-progress").value = part;
  }

  function send(file) {
    if (upload) upload.abort();
    if (file.size > MOST) return refuse(`${file.name} is larger than 200 MB. Keep only the columns with labels.`);
    if (!file.size) return refuse(`${file.name} is empty. Choose another file.`);
    const request = (upload = new XMLHttpRequest());
    request.open("POST", iscan.address(`/api/v1/import?name=${encodeURIComponent(file.name)}`));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader(iscan.study.header, iscan.study.name);
    request.responseType = "json";
    request.upload.onprogress = (event) => busy(event.lengthComputable ? (0.9 * event.loaded) / event.total : 0.5);
    request.onload = () => {
      busy(null);
      const answer = request.response || { error: "The server's answer is not understood. Try again." };
      setProps("import-loaded", { data: answer });
    };
    request.onerror = () => {
      busy(null);
      refuse("The server does not answer. Try again when it is back.");
    };
    request.onabort = () => busy(null);
    busy(0);
    request.send(file);
  }

  function fill(zone) {
    if (zone.firstChild) return;
    const field = Object.assign(document.createElement("input"), {
      type: "file",
      id: "import-file",
      accept: ".csv,.tsv,.txt,text/csv,text/tab-separated-values",
    });
    const label = document.createElement("label");
    label.htmlFor = field.id;
    const title = document.createElement("b");
    title.textContent = "Drop a CSV or TSV file here, or choose one";
    const help = document.createElement("small");
    help.textContent = "The first column names the cells. Drafts, cellxgene's too, come back as they are. Up to 200 MB.";
    label.append(title, help);
    zone.append(field, label);
    field.addEventListener("change", () => {
      if (field.files[0]) send(field.files[0]);
      // The same file may be chosen again after it was mended.
      field.value = "";
    });
    zone.addEventListener("dragover", (event) => {
      event.preventDefault();
      zone.classList.add("is-over");
    });
    zone.addEventListener("dragleave", () => zone.classList.remove("is-over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("is-over");
      if (event.dataTransfer.files[0]) send(event.dataTransfer.files[0]);
    });
  }

  iscan.importTable = {
    showDropZone() {
      fill(byId("import-drop"));
      return "import-panel";
    },
  };
})();
