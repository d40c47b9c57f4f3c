# docker build -t energylang . && docker run --rm -it -v "$PWD":/work energylang
FROM python:3.12-slim
RUN useradd --create-home reader
COPY . /src
RUN pip install --no-cache-dir -c /src/constraints.txt "/src[hf,plot]" \
    && rm -rf /src
USER reader
WORKDIR /work
ENTRYPOINT ["el"]
