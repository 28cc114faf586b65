// Shapes that the reader turns (mmlib/viewer.py writes them): one renderer draws for all of them, and only
// when something has changed. Where there is no WebGL the still picture stays.
(() => {
  const AZIMUTH = 30, ELEVATION = 20, FIELD_OF_VIEW = 30, STEP = Math.PI / 18;
  const AWAY = 1.02 / Math.sin((FIELD_OF_VIEW / 2) * (Math.PI / 180));
  let renderer = null;

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;

  function makeScene(data) {
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(new Int16Array(bytes(data.positions))).map((x) => x / 32767), 3));
    geometry.setAttribute("color", new THREE.BufferAttribute(new Uint8Array(bytes(data.colours)), 3, true));
    const scene = new THREE.Scene();
    if (!data.faces) {
      const dot = document.createElement("canvas");
      dot.width = dot.height = 32;
      const ink = dot.getContext("2d");
      ink.fillStyle = "#fff";
      ink.arc(16, 16, 15, 0, 2 * Math.PI);
      ink.fill();
      const size = data.size / Math.tan((FIELD_OF_VIEW / 2) * (Math.PI / 180)); // three.js leaves this factor out
      const look = { size, vertexColors: true, map: new THREE.CanvasTexture(dot), alphaTest: 0.5 };
      scene.add(new THREE.Points(geometry, new THREE.PointsMaterial(look)));
      return scene;
    }
    const faces = bytes(data.faces);
    geometry.setIndex(new THREE.BufferAttribute(data.wide ? new Uint32Array(faces) : new Uint16Array(faces), 1));
    geometry.computeVertexNormals();
    const look = { vertexColors: true, flatShading: !data.smooth, side: THREE.DoubleSide };
    scene.add(new THREE.Mesh(geometry, new THREE.MeshLambertMaterial(look)));
    scene.add(new THREE.AmbientLight(0xffffff, 0.45 * Math.PI));
    return scene;
  }

  function place(camera, azimuth, elevation, away) {
    camera.position.setFromSphericalCoords(away, Math.PI / 2 - elevation, azimuth);
    camera.lookAt(0, 0, 0);
  }

  function start(figure) {
    const still = figure.querySelector("img");
    const data = JSON.parse(figure.querySelector("script").textContent);
    const canvas = document.createElement("canvas");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    const hint = (figure.closest(".shape-row") ?? figure).querySelector(".shape-hint");
    canvas.setAttribute("aria-label", `${still.alt.replace(/\.$/, "")}. ${hint.textContent}`);
    const scene = makeScene(data);
    const camera = new THREE.PerspectiveCamera(FIELD_OF_VIEW, 4 / 3, 0.1, 20);
    const light = new THREE.DirectionalLight(0xffffff, 0.55 * Math.PI);
    light.position.set(0.3, 0.5, 0.8);
    camera.add(light, light.target);
    scene.add(camera);
    place(camera, (AZIMUTH * Math.PI) / 180, (ELEVATION * Math.PI) / 180, AWAY);
    still.replaceWith(canvas);
    hint.hidden = false;

    const controls = new THREE.OrbitControls(camera, canvas);
    controls.enablePan = controls.enableZoom = false;
    controls.minDistance = AWAY / 4;
    controls.maxDistance = AWAY * 2;
    canvas.style.touchAction = "pan-y"; // a finger that moves up or down scrolls the page
    const draw = () => {
      const width = Math.round(canvas.clientWidth * devicePixelRatio);
      if (!width) return;
      const height = Math.round((width * 3) / 4);
      if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
      renderer.setSize(width, height, false);
      renderer.render(scene, camera);
      canvas.getContext("bitmaprenderer").transferFromImageBitmap(renderer.domElement.transferToImageBitmap());
    };
    controls.addEventListener("change", draw);
    new ResizeObserver(draw).observe(canvas);

    // The wheel scrolls the page until the shape is chosen; Escape gives it back.
    canvas.addEventListener("pointerdown", () => canvas.focus({ preventScroll: true }));
    canvas.addEventListener("focus", () => (controls.enableZoom = true));
    canvas.addEventListener("blur", () => (controls.enableZoom = false));
    canvas.addEventListener("keydown", (event) => {
      const at = new THREE.Spherical().setFromVector3(camera.position);
      let [azimuth, elevation, away] = [at.theta, Math.PI / 2 - at.phi, at.radius];
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "ArrowLeft") azimuth -= STEP;
      else if (event.key === "ArrowRight") azimuth += STEP;
      else if (event.key === "ArrowUp") elevation = Math.min(elevation + STEP, 1.55);
      else if (event.key === "ArrowDown") elevation = Math.max(elevation - STEP, -1.55);
      else if (event.key === "+" || event.key === "=") away = Math.max(away / 1.15, controls.minDistance);
      else if (event.key === "-") away = Math.min(away * 1.15, controls.maxDistance);
      else if (event.key === "0") [azimuth, elevation, away] = [(AZIMUTH * Math.PI) / 180, (ELEVATION * Math.PI) / 180, AWAY];
      else if (event.key === "Escape") return canvas.blur();
      else return;
      event.preventDefault();
      place(camera, azimuth, elevation, away);
      controls.update();
      draw();
    });
    draw();
  }

  function startAll() {
    const sheet = window.OffscreenCanvas && new OffscreenCanvas(4, 3);
    const context = sheet?.getContext("webgl2", { alpha: true, antialias: true });
    if (!context) return;
    THREE.ColorManagement.enabled = false; // colours are shown as they were written
    renderer = new THREE.WebGLRenderer({ canvas: sheet, context });
    renderer.outputColorSpace = THREE.LinearSRGBColorSpace;
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        seen.unobserve(entry.target);
        start(entry.target);
      }
    }, { rootMargin: "200px" });
    for (const figure of document.querySelectorAll("figure.shape")) seen.observe(figure);
  }
  startAll();
})();
