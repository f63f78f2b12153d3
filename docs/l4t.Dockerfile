# A container for Jetson boards with JetPack 6. No board was at hand: it has not been built yet.
#   docker build -f docs/l4t.Dockerfile -t edgeunet .
#   docker run --runtime nvidia --network host --read-only --device /dev/video0 \
#     -v /srv/camera:/srv/camera edgeunet --config /srv/camera/camera.toml
# A CSI camera also needs: -v /tmp/argus_socket:/tmp/argus_socket
FROM nvcr.io/nvidia/l4t-jetpack:r36.4.0
RUN apt-get update && apt-get install -y --no-install-recommends \
      python3-venv python3-gi python3-gst-1.0 python3-opencv gstreamer1.0-plugins-good \
      gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-rtsp \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --groups video edgeunet
COPY . /opt/edgeunet-source
RUN python3 -m venv --system-site-packages /opt/edgeunet \
    && PATH=/usr/local/cuda/bin:$PATH /opt/edgeunet/bin/pip install --no-cache-dir \
      "numpy<2" pycuda av aiohttp prometheus-client /opt/edgeunet-source \
    && rm -rf /opt/edgeunet-source
USER edgeunet
WORKDIR /srv/camera
# It answers only with --preview or --metrics in the configuration.
HEALTHCHECK --interval=30s --start-period=120s CMD \
  ["/usr/bin/python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8780/healthz')"]
ENTRYPOINT ["/opt/edgeunet/bin/edgeunet", "run"]
