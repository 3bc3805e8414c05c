#!/bin/sh
# Twenty containers at once.
. /run/engines/scripts/lib.sh
i=0
while [ $i -lt 20 ]; do
	docker run -d --network none --runtime "$RT" --name "$N-$i" box sh -c "echo I am $i; sleep 1000" >/dev/null &
	i=$((i + 1))
done
wait
docker ps -q --filter "name=$N-" | wc -l
i=0
while [ $i -lt 20 ]; do
	until_ sh -c "docker logs $N-$i | grep -q ." # they are written by the engine
	docker logs "$N-$i"
	i=$((i + 1))
done
# shellcheck disable=SC2046 # a list of names
docker kill $(docker ps -q --filter "name=$N-") | wc -l
# shellcheck disable=SC2046 # a list of names
docker rm -f $(docker ps -aq --filter "name=$N-") | wc -l
