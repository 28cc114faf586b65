#!/bin/sh
# Fetch the browser libraries and fonts that the static book needs, pinned, into book/_static/vendor,
# and write their checksums. The result is committed, so building the book needs neither npm nor this
# script: run it only to move to other versions.
set -eu
cd "$(dirname "$0")/.."
vendor=$PWD/book/_static/vendor
python=${PYTHON:-.venv/bin/python}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
rm -rf "$vendor"
mkdir -p "$vendor/mathjax/output/chtml/fonts" "$vendor/mathjax/input/tex/extensions" \
    "$vendor/widgets" "$vendor/fonts"

get() {
    echo "fetching $1"
    (cd "$scratch" && rm -rf package && tar xzf "$(npm pack --silent "$1")")
}

# Equations. The extensions are those that MathJax loads by itself when a macro asks for them.
get mathjax@3.2.2
es5=$scratch/package/es5
cp "$es5/tex-chtml.js" "$scratch/package/LICENSE" "$vendor/mathjax/"
cp -r "$es5/output/chtml/fonts/woff-v2" "$vendor/mathjax/output/chtml/fonts/"
for name in bbox boldsymbol braket cancel cases centernot color enclose extpfeil gensymb mathtools \
    textcomp textmacros unicode upgreek; do
    cp "$es5/input/tex/extensions/$name.js" "$vendor/mathjax/input/tex/extensions/"
done

# Widgets. The plain bundle needs no require.js; its address for unknown widgets is cut out, so that
# no page can ever ask another host for code; its schema checker is told not to warn in the console;
# and it sets its labels with MathJax 3, where it would call MathJax 2.
get @jupyter-widgets/html-manager@1.0.15
sed -e 's#https://cdn[^"]*/npm/#./#' -e '/^\/\/# sourceMappingURL/d' \
    -e 's/void 0!==window.MathJax&&MathJax.Hub.Queue(\["Typeset",MathJax.Hub,e\])/window.MathJax?.startup?.promise?.then(()=>MathJax.typesetPromise([e]))/' \
    -e 's/new(ft())/new(ft())({strict:!1})/' "$scratch/package/dist/embed.js" > "$vendor/widgets/embed.js"
cp "$scratch/package/dist/1551f4f60c37af51121f.woff2" "$scratch/package/dist/d878b0a6a1144760244f.woff2" \
    "$vendor/widgets/" # its icons
cp "$scratch/package/dist/embed.js.LICENSE.txt" "$vendor/widgets/THIRD_PARTY.txt"
"$python" -c "
import importlib.metadata as m
print(next(f for f in m.files('ipywidgets') if f.name == 'LICENSE').read_text(), end='')
" > "$vendor/widgets/LICENSE"

# Shapes that the reader turns: of three.js only what viewer.js asks for, as one script.
esbuild=0.28.2
get three@0.187.0
mkdir -p "$vendor/three" "$scratch/bundle/node_modules"
cp "$scratch/package/LICENSE" "$vendor/three/"
rm -rf "$scratch/bundle/node_modules/three"
cp -r "$scratch/package" "$scratch/bundle/node_modules/three"
cat > "$scratch/bundle/entry.js" <<'END'
export {
  AmbientLight, BufferAttribute, BufferGeometry, CanvasTexture, ColorManagement, DirectionalLight, DoubleSide,
  LinearSRGBColorSpace, Mesh, MeshLambertMaterial, PerspectiveCamera, Points, PointsMaterial, Scene, Spherical,
  WebGLRenderer,
} from "three";
export { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
END
(cd "$scratch/bundle" && npx --yes "esbuild@$esbuild" entry.js --bundle --minify --format=iife \
    --global-name=THREE --legal-comments=none --log-level=warning --outfile="$vendor/three/three.js")

# Type: one serif for reading, one sans for the frame around it, one mono for code.
font() {
    get "@fontsource-variable/$1@$2"
    for style in $3; do
        cp "$scratch/package/files/$1-latin-wght-$style.woff2" "$vendor/fonts/"
    done
    cp "$scratch/package/LICENSE" "$vendor/fonts/$1-LICENSE"
}
font source-serif-4 5.3.1 "normal italic"
font inter 5.3.0 "normal"
font source-code-pro 5.3.0 "normal italic"

(cd "$vendor" && find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum > SHA256SUMS)
du -sh "$vendor"
